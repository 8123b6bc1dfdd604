from dataclasses import replace

import pytest

from tests.studios import Clock, noise_info
from text2song.errors import InvalidInput, NoModelServed
from text2song.jobs.lifecycle import CLOCK_SLACK
from text2song.models import queries, service
from text2song.models.tables import ModelWorker
from text2song.names import NOISE_MODEL
from text2song.studio import Studio


def announce(studio: Studio, name: str) -> None:
    with studio.work() as work:
        service.announce(work, replace(noise_info(), id=name), worker=f"of {name}", capacity=8)


def chosen(studio: Studio, name: str | None = None) -> str:
    with studio.read() as reader:
        return queries.choose(reader, name).name


def test_nothing_can_be_chosen_before_a_worker_came(studio: Studio) -> None:
    with pytest.raises(NoModelServed, match="loading"):
        chosen(studio)


def test_a_model_that_nobody_has_is_refused_with_those_there_are(studio: Studio) -> None:
    announce(studio, NOISE_MODEL)
    with studio.read() as reader, pytest.raises(InvalidInput, match=NOISE_MODEL) as caught:
        queries.choose(reader, "other", field="side")
    assert caught.value.field == "side"


def test_a_model_that_is_served_comes_before_one_that_was_announced_later(
    studio: Studio, clock: Clock
) -> None:
    announce(studio, "early")
    clock.advance(1)
    announce(studio, "late")
    assert chosen(studio) == "late"
    clock.advance(queries.ALIVE_SECONDS + 1)  # nobody was heard of
    assert (chosen(studio), chosen(studio, "early")) == ("late", "early")
    with studio.work() as work:
        [worker] = work.session.query(ModelWorker).filter_by(name="of early")
        service.beat(work, worker.id, speed=1.0)
    assert chosen(studio) == "early"
    with studio.read() as reader:
        assert [[worker.name for worker in found] for found in queries.alive_workers(reader).values()] == [
            ["of early"]
        ]


def test_a_worker_that_was_heard_of_in_the_future_is_not_counted(studio: Studio, clock: Clock) -> None:
    announce(studio, "dead")
    with studio.read() as reader:
        clock.advance(-CLOCK_SLACK.total_seconds())  # a machine whose clock runs ahead by so much
        assert len(queries.alive_workers(reader)) == 1
        clock.advance(-1)
        assert queries.alive_workers(reader) == {}


def test_noise_has_a_notice_and_a_large_model_none(studio: Studio) -> None:
    announce(studio, NOISE_MODEL)
    with studio.read() as reader:
        model = queries.choose(reader, None)
        assert queries.understanding_of(model).notice() == queries.NOISE_NOTICE
        model.is_trained = True
        assert queries.understanding_of(model).notice() is None
        reader.session.expunge(model)


def test_notices_are_of_what_is_served_now(studio: Studio, clock: Clock) -> None:
    def told() -> list[str]:
        with studio.read() as reader:
            return queries.notices(reader)

    assert told() == []
    announce(studio, NOISE_MODEL)
    assert told() == [f"{NOISE_MODEL} is served now. {queries.NOISE_NOTICE}"]
    clock.advance(queries.ALIVE_SECONDS + 1)  # its worker has gone
    assert told() == []
    with studio.work() as work:
        service.announce(work, replace(noise_info(), id="music", is_trained=True), worker="w", capacity=8)
    assert told() == []
