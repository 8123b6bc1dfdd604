from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from tests.benches import Bench
from tests.studios import Desk, noise_info
from text2song.models import queries
from text2song.models import service as models
from text2song.models.tables import Model
from text2song.music.vocabulary import Vocabulary


def listed(desk: Desk, **query: object) -> list[dict[str, Any]]:
    answer = desk.client.get("/models", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def announce(desk: Desk, name: str, *, worker: str = "w") -> Any:  # noqa: ANN401  # an opaque handle
    with desk.studio.work() as work:
        return models.announce(work, replace(noise_info(), id=name), worker=worker, capacity=4)


def test_everything_that_the_api_must_know_is_said(bench: Bench) -> None:
    info = bench.info
    (model,) = listed(bench.desk)
    for name in (
        "revision", "fingerprint", "license", "is_trained", "sample_rate", "frame_rate", "channels",
        "codebooks", "codebook_size", "max_duration_seconds", "vocabulary",
    ):  # fmt: skip
        assert model[name] == getattr(info, name)
    assert model["name"] == info.id
    assert model["module_shapes"] == {name: list(shape) for name, shape in info.module_shapes.items()}
    assert len(model["module_shapes"]) > 10
    assert model["notice"] == queries.NOISE_NOTICE
    assert "noise" in model["notice"]
    assert {"bench"} <= {worker["name"] for worker in model["workers"]}


def test_a_trained_model_needs_no_notice(desk: Desk) -> None:
    with desk.studio.work() as work:
        models.announce(work, replace(noise_info(), id="real", is_trained=True), worker="w", capacity=4)
    assert [model["notice"] for model in listed(desk)] == [None, queries.NOISE_NOTICE]
    assert desk.submit(model="real")["notice"] is None


def test_a_small_model_says_what_it_understands_and_a_prompt_of_its_words_needs_no_notice(desk: Desk) -> None:
    vocabulary = Vocabulary(("dub",), ("bass",), ("calm",), (60, 180), "It passes over others.")
    small = replace(noise_info(), id="small", is_trained=True, vocabulary=vocabulary)
    with desk.studio.work() as work:
        models.announce(work, small, worker="w", capacity=4)
    model = listed(desk)[0]
    assert model["vocabulary"] == vocabulary.as_json()
    assert "It understands styles: dub; instruments: bass; moods: calm; tempo: 60 to 180" in model["notice"]
    assert desk.submit(model="small")["notice"] == model["notice"]
    assert desk.submit(model="small", prompt={"text": "a DUB walk"})["notice"] is None


@pytest.mark.parametrize("stored", [[], "words", {"styles": ["dub"]}])
def test_a_vocabulary_that_another_version_stored_in_another_form_is_none(desk: Desk, stored: object) -> None:
    with desk.studio.work() as work:
        work.session.execute(update(Model).values(vocabulary=stored, is_trained=True))
    assert [(model["vocabulary"], model["notice"]) for model in listed(desk)] == [(None, None)]


def test_workers_are_listed_while_they_live(desk: Desk) -> None:
    left = announce(desk, "a", worker="leaves")
    silent = announce(desk, "a", worker="falls silent")
    stays = announce(desk, "a", worker="stays")
    with desk.studio.work() as work:
        models.leave(work, left)
    assert [worker["name"] for worker in listed(desk)[0]["workers"]] == ["falls silent", "stays"]
    desk.clock.advance(queries.ALIVE_SECONDS + 1)
    with desk.studio.work() as work:
        models.beat(work, stays, speed=3.5)
    (alive,) = listed(desk)[0]["workers"]
    assert (alive["name"], alive["speed"], alive["capacity"], alive["dtype"]) == ("stays", 3.5, 4, "float32")
    with desk.studio.work() as work:
        models.beat(work, silent, speed=None)  # it was only slow
    assert len(listed(desk)[0]["workers"]) == 2


def test_models_are_paged_like_every_list(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        announce(desk, name)
    first = desk.client.get("/models?limit=3").json()
    assert [model["name"] for model in first["items"]] == ["c", "b", "a"]
    second = desk.client.get(f"/models?limit=3&cursor={first['next_cursor']}").json()
    assert [model["name"] for model in second["items"]] == [noise_info().id]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "status", "field"), [("cursor=x", 400, "cursor"), ("limit=0", 422, "limit")]
)
def test_bad_queries_are_named(desk: Desk, query: str, status: int, field: str) -> None:
    answer = desk.client.get(f"/models?{query}")
    assert (answer.status_code, answer.json()["field"]) == (status, field)
