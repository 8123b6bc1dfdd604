import uuid
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.databases import outcome_of_second
from tests.studios import Clock, noise_info
from text2song.errors import InvalidInput, NoModelServed
from text2song.model.protocol import ModelInfo
from text2song.models import queries, service
from text2song.models.queries import ALIVE_SECONDS
from text2song.models.schemas import ModelOut
from text2song.models.tables import Model, ModelWorker
from text2song.music.vocabulary import Vocabulary
from text2song.names import NOISE_MODEL
from text2song.studio import Studio

TRAINED = replace(noise_info(), id="facebook/musicgen-small", is_trained=True, fingerprint="a" * 64)
OF_A_WORKER = {"dtype", "device"}
"""What a model's description says of where it runs."""


def announce(studio: Studio, info: ModelInfo, worker: str) -> uuid.UUID:
    with studio.work() as work:
        return service.announce(work, info, worker=worker, capacity=8)


def beat(studio: Studio, worker_id: uuid.UUID, *, speed: float | None = None) -> bool:
    with studio.work() as work:
        return service.beat(work, worker_id, speed=speed)


def leave(studio: Studio, worker_id: uuid.UUID) -> None:
    with studio.work() as work:
        service.leave(work, worker_id)


def described(studio: Studio) -> list[ModelOut]:
    with studio.read() as reader:
        return queries.describe(reader, queries.find(reader, cursor=None, limit=50).rows)


def workers_of(studio: Studio) -> list[str]:
    return [worker.name for model in described(studio) for worker in model.workers]


def default(studio: Studio) -> str:
    with studio.read() as reader:
        return queries.choose(reader, None).name


def test_a_worker_says_all_that_its_model_is(studio: Studio) -> None:
    vocabulary = Vocabulary(("dub",), ("bass",), ("calm",), (60, 180), "It passes over others.")
    info = replace(TRAINED, vocabulary=vocabulary)
    announce(studio, info, "host:1")
    [model] = described(studio)
    for name in ModelInfo.__dataclass_fields__:
        if name not in {"id", "vocabulary", *OF_A_WORKER}:
            assert getattr(model, name) == getattr(info, name), name
    assert model.vocabulary is not None
    assert Vocabulary.read(model.vocabulary.model_dump()) == vocabulary
    assert model.name == info.id
    [worker] = model.workers
    assert (worker.name, worker.dtype, worker.device) == ("host:1", "float32", "cpu")
    assert (worker.capacity, worker.speed) == (8, None)


def test_only_an_untrained_model_comes_with_a_notice(studio: Studio) -> None:
    announce(studio, TRAINED, "host:1")
    announce(studio, noise_info(), "host:2")
    notices = {model.name: model.notice for model in described(studio)}
    assert notices[TRAINED.id] is None
    assert "noise, not music" in str(notices[NOISE_MODEL])


def test_a_model_that_is_announced_again_is_the_same_row_with_what_is_new(studio: Studio) -> None:
    announce(studio, TRAINED, "host:1")
    announce(studio, replace(TRAINED, fingerprint="b" * 64, revision="newer"), "host:2")
    [model] = described(studio)
    assert (model.fingerprint, model.revision) == ("b" * 64, "newer")
    assert [worker.name for worker in model.workers] == ["host:1", "host:2"]


def test_a_worker_lives_for_as_long_as_it_beats(studio: Studio, clock: Clock) -> None:
    beating, silent = (announce(studio, TRAINED, name) for name in ("beating", "silent"))
    clock.advance(ALIVE_SECONDS)
    assert workers_of(studio) == ["beating", "silent"]
    beat(studio, beating)
    clock.advance(1)
    assert workers_of(studio) == ["beating"]
    beat(studio, silent)  # it was only slow
    assert workers_of(studio) == ["beating", "silent"]


def test_a_worker_that_has_left_is_gone_at_once_and_stays_so(studio: Studio) -> None:
    short_lived, other = (announce(studio, TRAINED, name) for name in ("short-lived", "other"))
    leave(studio, short_lived)
    assert workers_of(studio) == ["other"]
    leave(studio, other)
    assert workers_of(studio) == []
    assert [model.name for model in described(studio)] == [TRAINED.id]  # the model is still known


def test_speed_is_learned_and_remembered_for_the_next_worker(studio: Studio) -> None:
    first = announce(studio, TRAINED, "first")
    beat(studio, first, speed=3.5)
    beat(studio, first)  # nothing measured since
    assert [worker.speed for worker in described(studio)[0].workers] == [3.5]
    leave(studio, first)
    announce(studio, TRAINED, "second")
    announce(studio, noise_info(), "of another model")
    speeds = {w.name: w.speed for model in described(studio) for w in model.workers}
    assert speeds == {"second": 3.5, "of another model": None}


def rows_of_workers(studio: Studio) -> list[str]:
    with studio.read() as reader:
        return list(reader.session.scalars(select(ModelWorker.name).order_by(ModelWorker.id)))


def test_workers_that_were_not_heard_of_for_a_day_are_forgotten_but_not_their_speed(
    studio: Studio, clock: Clock
) -> None:
    other = announce(studio, noise_info(), "of another model")
    beat(studio, other, speed=9.0)
    left, silent, stays = (announce(studio, TRAINED, name) for name in ("left", "silent", "stays"))
    beat(studio, silent, speed=3.5)
    leave(studio, left)
    clock.advance(service.FORGET_AFTER.total_seconds())
    beat(studio, stays)
    announce(studio, TRAINED, "on the day")
    assert rows_of_workers(studio) == ["of another model", "left", "silent", "stays", "on the day"]
    clock.advance(1)
    announce(studio, TRAINED, "new")
    assert rows_of_workers(studio) == ["of another model", "stays", "on the day", "new"]
    speeds = {w.name: w.speed for model in described(studio) for w in model.workers}
    assert speeds["new"] == 3.5


def test_a_worker_that_was_forgotten_is_told_to_announce_itself_again(studio: Studio, clock: Clock) -> None:
    slept = announce(studio, TRAINED, "slept for a weekend")
    clock.advance(2 * service.FORGET_AFTER.total_seconds())
    assert beat(studio, slept)  # nobody forgot it
    clock.advance(2 * service.FORGET_AFTER.total_seconds())
    announce(studio, TRAINED, "other")
    assert not beat(studio, slept, speed=1.0)
    leave(studio, slept)
    assert rows_of_workers(studio) == ["other"]


def test_names_that_no_column_holds_are_refused_and_other_words_may_be_long(studio: Studio) -> None:
    long = replace(TRAINED, license="See the licence. " * 100, revision="r" * 200, dtype="d" * 100)
    announce(studio, long, "w" * 128)
    assert described(studio)[0].license == long.license
    with pytest.raises(InvalidInput, match=r"worker's name .* 129 characters; 128 are the most"):
        announce(studio, TRAINED, "w" * 129)
    announce(studio, replace(TRAINED, id="m" * 200), "w")
    with pytest.raises(InvalidInput, match=r"model's name has 201 characters; 200 are the most"):
        announce(studio, replace(TRAINED, id="m" * 201), "w")


def test_without_a_name_the_model_is_the_one_announced_last_and_beats_do_not_change_it(
    studio: Studio, clock: Clock
) -> None:
    old = announce(studio, TRAINED, "host:1")
    clock.advance(1)
    new = announce(studio, noise_info(), "host:2")
    assert default(studio) == NOISE_MODEL
    clock.advance(1)
    beat(studio, old)
    assert default(studio) == NOISE_MODEL
    leave(studio, new)
    assert default(studio) == TRAINED.id  # what is served comes before what was
    leave(studio, old)
    assert default(studio) == NOISE_MODEL  # jobs may wait for it to come back


def test_a_name_chooses_and_an_unknown_one_is_told_which_there_are(studio: Studio) -> None:
    announce(studio, TRAINED, "host:1")
    announce(studio, noise_info(), "host:2")
    with studio.read() as reader:
        assert queries.choose(reader, TRAINED.id).name == TRAINED.id
        with pytest.raises(InvalidInput, match=r"'nobody/none'; there is .*musicgen-small") as error:
            queries.choose(reader, "nobody/none")
    assert error.value.field == "model"


def test_before_any_worker_came_there_is_no_model(studio: Studio) -> None:
    with studio.read() as reader:
        for name in (None, TRAINED.id):
            with pytest.raises(NoModelServed, match="may still be loading"):
                queries.choose(reader, name)


def test_every_fact_of_a_model_has_a_column() -> None:
    """What a later version adds to `ModelInfo` must not be dropped in silence."""
    columns = {column.name for column in Model.__table__.columns} | OF_A_WORKER
    assert set(ModelInfo.__dataclass_fields__) - {"id"} <= columns
    assert {column.name for column in ModelWorker.__table__.columns} >= OF_A_WORKER


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("is_known", [False, True])
def test_two_workers_of_one_model_that_begin_at_the_same_time_are_both_counted(
    studio: Studio, *, is_known: bool
) -> None:
    if is_known:
        announce(studio, TRAINED, "host:0")
    newer = replace(TRAINED, revision="newer")
    outcome_of_second(
        studio,
        lambda work: service.announce(work, TRAINED, worker="host:1", capacity=8),
        lambda work: service.announce(work, newer, worker="host:2", capacity=8),
    )
    [model] = described(studio)
    assert model.revision == "newer"
    assert {"host:1", "host:2"} <= {worker.name for worker in model.workers}


@pytest.mark.databases("postgresql")
def test_a_worker_that_is_forgotten_in_the_moment_of_its_beat_is_told_so(
    studio: Studio, clock: Clock
) -> None:
    worker = announce(studio, TRAINED, "host:1")
    clock.advance(service.FORGET_AFTER.total_seconds() + 1)
    is_known = outcome_of_second(
        studio,
        lambda work: service.announce(work, TRAINED, worker="host:2", capacity=8),
        lambda work: service.beat(work, worker, speed=1.0),
    )
    assert is_known is False
