"""What is finished is saved beside the work: it stalls no frame, and what goes wrong costs no other take."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.benches import Bench
from tests.generation.job.stage import StagedBatch, StagedModel, ask, on_stage, seeds
from tests.studios import Desk
from text2song.blobs.store import BlobStore, StoredBlob
from text2song.errors import StudioError
from text2song.generation.job.attempt import Row
from text2song.generation.job.keeping import Keeper
from text2song.jobs.shift import Shift
from text2song.model.protocol import GeneratedTake


class SlowBlobs:
    """A store whose first `put` lasts until it is told to go on."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.is_asked = threading.Event()
        self.may_go_on = threading.Event()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever else a store does
        return getattr(self._blobs, name)

    def put(self, data: bytes, *, folder: str, suffix: str) -> StoredBlob:
        self.is_asked.set()
        assert self.may_go_on.wait(30)
        return self._blobs.put(data, folder=folder, suffix=suffix)


def with_slow_blobs(desk: Desk, model: StagedModel) -> tuple[Bench, SlowBlobs]:
    blobs = SlowBlobs(desk.studio.blobs)
    studio = replace(desk.studio, blobs=blobs)  # type: ignore[arg-type]  # by `__getattr__`
    return on_stage(replace(desk, studio=studio), model), blobs


def test_a_slow_storage_stalls_no_frame_of_the_others(desk: Desk) -> None:
    model = StagedModel(capacity=2)
    bench, blobs = with_slow_blobs(desk, model)
    frames_meanwhile: list[int] = []

    def look(batch: StagedBatch) -> None:
        if not blobs.is_asked.is_set():
            time.sleep(0.005)
        elif not blobs.may_go_on.is_set():
            frames_meanwhile.append(max(batch.frames[number] for number in batch.specs))
            if len(frames_meanwhile) == 20:
                blobs.may_go_on.set()

    model.before_each_step = look
    short, long = ask(bench, seed=1, seconds=1), ask(bench, seed=2, seconds=30)
    bench.work()
    assert len(set(frames_meanwhile)) == 20
    assert [bench.job(job)["status"] for job in (short, long)] == ["succeeded"] * 2


def test_while_a_batch_full_of_takes_waits_to_be_saved_no_more_is_begun(desk: Desk) -> None:
    model = StagedModel(capacity=2)
    bench, blobs = with_slow_blobs(desk, model)
    job = ask(bench, seed=1, takes=6)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(bench.work)
        assert blobs.is_asked.wait(30)
        time.sleep(0.3)  # some beats
        begun = seeds(model.entered)
        blobs.may_go_on.set()
        run.result(60)
    assert begun == [1, 2]
    assert seeds(model.entered) == [1, 2, 3, 4, 5, 6]
    assert bench.job(job)["status"] == "succeeded"


def test_an_unforeseen_error_in_saving_one_take_costs_no_other_that_is_finished(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = StagedModel(capacity=4)
    bench = on_stage(desk, model)
    save = Keeper.save
    raised: list[int] = []

    def broken(
        keeper: Keeper, row: Row, outcome: GeneratedTake | StudioError, shift: Shift
    ) -> StudioError | None:
        if row.spec.seed == 1 and not raised:
            raised.append(row.spec.seed)
            raise ZeroDivisionError("by nothing")
        return save(keeper, row, outcome, shift)

    monkeypatch.setattr(Keeper, "save", broken)
    first, second = ask(bench, seed=1, takes=2), ask(bench, seed=5, takes=2)
    bench.work()
    waits = bench.job(first)
    assert (waits["status"], waits["error"]["code"]) == ("queued", "unexpected_failure")
    assert [take["status"] for take in waits["takes"]] == ["queued", "succeeded"]
    assert (bench.job(second)["status"], bench.job(second)["attempts"]) == ("succeeded", 1)
    desk.clock.advance(10)
    bench.work()
    assert bench.job(first)["status"] == "succeeded"
    assert sorted(seeds(model.entered)) == [1, 1, 2, 5, 6]


def test_an_unforeseen_error_of_the_model_leaves_what_is_finished_saved(desk: Desk) -> None:
    model = StagedModel(capacity=4)
    bench = on_stage(desk, model)

    def break_down(batch: StagedBatch) -> None:
        if batch.frames[0] == 6:
            model.before_each_step = lambda _: None
            raise ZeroDivisionError("by nothing")

    model.before_each_step = break_down
    broken, done = ask(bench, seed=1, seconds=2), ask(bench, seed=2, seconds=1)
    bench.work()
    assert (bench.job(done)["status"], bench.job(done)["attempts"]) == ("succeeded", 1)
    waits = bench.job(broken)
    assert (waits["status"], waits["error"]["code"]) == ("queued", "unexpected_failure")
    desk.clock.advance(10)
    bench.work()
    assert bench.job(broken)["status"] == "succeeded"
