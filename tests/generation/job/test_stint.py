"""Rows and jobs in one batch: who enters and leaves and when, what does not fit, what is not answered."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from tests.benches import Bench, WatchedBatch
from tests.generation.job.stage import StagedBatch, StagedModel, ask, on_stage, seeds, take_of
from tests.studios import Desk
from text2song.errors import InvalidInput, OutOfMemory, StudioError
from text2song.generation.job.handler import GenerationHandler
from text2song.generation.job.line import LOOK_AHEAD
from text2song.generation.tables import KIND, GenerationJob, GenerationTake
from text2song.jobs.columns import JobStatus
from text2song.jobs.runner import Runner
from text2song.jobs.shift import Pace
from text2song.model.protocol import Batch, GeneratedTake, RowResult
from text2song.music.spec import GenerationSpec

SHORT = {"duration": 0.5}


def test_a_job_larger_than_a_batch_lets_others_come_between(bench: Bench) -> None:
    large = bench.desk.submit(num_samples=bench.capacity * 2 + 1, generation_params=SHORT)
    small = bench.desk.submit(generation_params=SHORT, prompt={"text": "a short one"})
    bench.work()
    sentences = [spec.sentence for spec in bench.entered]
    assert sentences[: bench.capacity] == ["a slow walk home"] * bench.capacity
    assert "a short one" in sentences
    assert max(bench.crowds) >= bench.capacity
    done = bench.job(large)
    assert done["status"] == "succeeded"
    assert done["attempts"] == 1
    assert len({sample["id"] for sample in done["samples"]}) == bench.capacity * 2 + 1
    assert bench.job(small)["status"] == "succeeded"


def test_a_job_that_comes_late_enters_a_running_batch_and_sounds_as_it_does_alone(bench: Bench) -> None:
    params = {"seed": 7, "duration": 1}
    alone = bench.make(generation_params=params)
    late: list[dict[str, object]] = []

    def while_it_runs(batch: WatchedBatch) -> None:
        frames = [row.frames for row in batch.rows.values()]
        if not late and min(frames) > 10:
            late.append(bench.desk.submit(generation_params=params))

    first = bench.desk.submit(generation_params={"seed": 100, "duration": 20})
    bench.before_each_step = while_it_runs
    bench.work()
    assert bench.crowds == [1, 1, 2]
    amid = bench.sample(late[0])
    assert amid["codes_sha256"] == bench.sample(alone)["codes_sha256"]
    assert amid["sha256"] == bench.sample(alone)["sha256"]
    assert bench.job(late[0])["finished_at"] <= bench.job(first)["finished_at"]


def test_one_take_that_does_not_fit_is_told_after_its_attempts(bench: Bench) -> None:
    bench.trouble = lambda _, result: RowResult(result.row, OutOfMemory("no memory left to compose a take."))
    job = bench.desk.submit()
    for _ in range(3):
        bench.work()
        bench.desk.clock.advance(60)
    assert bench.job(job)["status"] == "failed"
    assert bench.job(job)["error"]["code"] == "out_of_memory"


def test_one_take_that_does_not_fit_is_the_trouble_of_its_own_job_alone(bench: Bench) -> None:
    def too_large(_: Desk, result: RowResult) -> RowResult:
        error = OutOfMemory("no memory left to compose a take.")
        return RowResult(result.row, error) if result.row == 0 else result

    bench.trouble = too_large
    large = bench.desk.submit(num_samples=2, generation_params={"duration": 1})
    small = bench.desk.submit(generation_params=SHORT)
    bench.work()
    waits = bench.job(large)
    assert (waits["status"], waits["error"]["code"]) == ("queued", "out_of_memory")
    assert [take["status"] for take in waits["takes"]] == ["queued", "succeeded"]
    assert (bench.job(small)["status"], bench.job(small)["attempts"]) == ("succeeded", 1)


def test_a_model_that_forgets_a_take_is_an_error_and_not_a_success(bench: Bench) -> None:
    class Forgetful(WatchedBatch):
        def advance(self) -> Sequence[RowResult]:
            return [result for result in super().advance() if result.row != 0]

    class Model:
        info = bench.model.info
        capacity = bench.model.capacity

        def open_batch(self) -> Batch:
            return Forgetful(bench, bench.model.open_batch())

    job = bench.desk.submit(num_samples=2, generation_params={"duration": 0.5})
    handler = GenerationHandler(bench.desk.studio, Model())
    Runner(bench.desk.studio.work, bench.desk.bells, {KIND: handler}, worker="w", pace=Pace()).run(KIND)
    waiting = bench.job(job)
    assert waiting["status"] == "queued"
    assert waiting["error"]["code"] == "unexpected_failure"
    assert len(waiting["samples"]) == 1
    bench.desk.clock.advance(60)
    bench.work()
    assert bench.job(job)["status"] == "succeeded"
    assert len(bench.job(job)["samples"]) == 2


def test_a_take_is_made_again_by_the_same_weights_alone(bench: Bench) -> None:
    sample = bench.sample(bench.make())
    again = bench.desk.client.post("/generate", json={"from_sample": sample["id"]}).json()
    other = replace(bench.model.info, fingerprint="0" * 64)

    class OtherWeights:
        info = other
        capacity = bench.model.capacity
        open_batch = bench.model.open_batch

    handler = GenerationHandler(bench.desk.studio, OtherWeights())
    Runner(bench.desk.studio.work, bench.desk.bells, {KIND: handler}, worker="w", pace=Pace()).run(KIND)
    assert bench.job(again)["status"] == "queued"  # it waits for the weights that made it
    bench.work()
    assert bench.job(again)["status"] == "succeeded"


def test_a_take_that_cannot_be_read_fails_its_own_job_and_no_other(bench: Bench) -> None:
    broken, whole = bench.desk.submit(), bench.desk.submit()
    with bench.desk.studio.work() as work:
        [take] = work.session.scalars(
            select(GenerationTake).where(GenerationTake.job_id == uuid.UUID(broken["id"]))
        )
        take.spec = {**take.spec, "duration": -1}
    bench.work()
    assert bench.job(broken)["status"] == "failed"
    assert "duration" in bench.job(broken)["error"]["message"]
    assert bench.job(whole)["status"] == "succeeded"


def test_a_broken_job_that_is_cancelled_meanwhile_harms_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = bench.desk.submit(), bench.desk.submit()
    read = GenerationSpec.from_json.__func__  # type: ignore[attr-defined]  # a class method's function
    is_first = iter([True])

    def cancelled_while_it_is_read(cls: type[GenerationSpec], stored: dict[str, object]) -> GenerationSpec:
        if next(is_first, False):
            assert bench.desk.client.delete(f"/generate/{broken['id']}").json()["changed"]
            raise InvalidInput("this row cannot be read.")
        spec: GenerationSpec = read(cls, stored)
        return spec

    monkeypatch.setattr(GenerationSpec, "from_json", classmethod(cancelled_while_it_is_read))
    bench.work()
    assert bench.job(broken)["status"] == "cancelled"
    assert bench.job(whole)["status"] == "succeeded"
    assert bench.job(whole)["attempts"] == 1


# --- On a stage, where a test sees each step ----------------------------------------------------------


def test_a_cancelled_row_leaves_between_two_frames_and_its_place_is_taken(desk: Desk) -> None:
    model = StagedModel(capacity=2)
    bench = on_stage(desk, model)
    seen: list[str] = []

    def look(batch: StagedBatch) -> None:
        seen.append(" ".join(str(spec.seed) for spec in batch.specs.values()))
        if len(seen) == 3:
            assert desk.client.delete(f"/generate/{cancelled['id']}").json()["changed"]
        time.sleep(0.02)  # a beat is 0.05 s

    model.before_each_step = look
    stays, cancelled = ask(bench, seed=1, seconds=20), ask(bench, seed=2, seconds=20)
    next_one = ask(bench, seed=3)
    bench.work()
    assert seeds(model.left) == [2]
    assert list(dict.fromkeys(seen))[:2] == ["1 2", "1 3"]
    statuses = [bench.job(job)["status"] for job in (stays, cancelled, next_one)]
    assert statuses == ["succeeded", "cancelled", "succeeded"]
    assert bench.job(cancelled)["samples"] == []


def test_a_row_whose_lease_is_anothers_leaves_and_nothing_of_it_is_written(desk: Desk) -> None:
    model = StagedModel(capacity=2)
    bench = on_stage(desk, model)
    theirs = uuid.uuid4()

    def take_over(batch: StagedBatch) -> None:
        time.sleep(0.02)
        if batch.frames[0] == 3:
            with desk.studio.work() as work:
                job = work.session.get_one(GenerationJob, uuid.UUID(lost["id"]))
                job.claim_token, job.claimed_by = theirs, "another"

    model.before_each_step = take_over
    lost, kept = ask(bench, seed=1, seconds=20), ask(bench, seed=2, seconds=20)
    bench.work()
    assert seeds(model.left) == [1]
    assert bench.job(kept)["status"] == "succeeded"
    with desk.studio.read() as reader:
        job = reader.session.get_one(GenerationJob, uuid.UUID(lost["id"]))
        assert (job.status, job.claim_token, job.claimed_by) == ("running", theirs, "another")
    assert bench.job(lost)["samples"] == []


def test_no_transaction_is_open_while_the_model_works(desk: Desk) -> None:
    model = StagedModel(capacity=2)
    bench = on_stage(desk, model)

    def write(_: StagedBatch) -> None:
        with desk.studio.work() as work:  # would wait for five seconds, and fail
            work.session.connection()

    model.before_each_step = write
    jobs = [ask(bench, seed=seed, takes=2) for seed in (1, 5, 9)]
    bench.work()
    assert [bench.job(job)["status"] for job in jobs] == ["succeeded"] * 3


def test_a_long_row_that_does_not_fit_is_passed_by_a_few_and_then_waited_for(desk: Desk) -> None:
    model = StagedModel(capacity=4, seconds_that_fit=20)
    bench = on_stage(desk, model)
    ask(bench, seed=100, seconds=10, priority=2)  # in the batch when the long one's turn comes
    ask(bench, seed=200, seconds=20, priority=1)
    small = [ask(bench, seed=seed, seconds=1) for seed in range(1, LOOK_AHEAD + 4)]
    bench.work()
    ahead = list(range(1, LOOK_AHEAD + 1))
    assert seeds(model.entered) == [100, *ahead, 200, *range(LOOK_AHEAD + 1, LOOK_AHEAD + 4)]
    assert [bench.job(job)["status"] for job in small] == ["succeeded"] * len(small)


def test_where_nothing_at_all_has_room_no_job_is_taken_from_others(desk: Desk) -> None:
    model = StagedModel(capacity=4, seconds_that_fit=10)
    bench = on_stage(desk, model)
    surplus: set[int] = set()

    def look(_: StagedBatch) -> None:
        with desk.studio.read() as reader:
            taken = select(func.count()).where(GenerationJob.status != JobStatus.QUEUED)
            surplus.add((reader.session.scalar(taken) or 0) - len(model.entered))

    model.before_each_step = look
    for seed in (1, 2, 3):
        ask(bench, seed=seed, seconds=10)
    bench.work()
    assert seeds(model.entered) == [1, 2, 3]
    assert surplus == {0}


def test_a_job_all_of_whose_takes_were_saved_by_an_attempt_that_was_lost_only_ends(desk: Desk) -> None:
    model = StagedModel()
    bench = on_stage(desk, model)
    job = ask(bench, seed=1, takes=2)
    bench.work()
    with desk.studio.work() as work:
        row = work.session.get_one(GenerationJob, uuid.UUID(job["id"]))
        row.status, row.finished_at = JobStatus.QUEUED, None
    bench.work()
    assert bench.job(job)["status"] == "succeeded"
    assert len(model.entered) == 2


def test_after_an_error_that_may_pass_no_further_take_of_that_job_begins(desk: Desk) -> None:
    is_first = iter([True])

    def no_memory_at_first(spec: GenerationSpec) -> GeneratedTake | StudioError:
        return OutOfMemory("there was no memory.") if next(is_first, False) else take_of(spec)

    model = StagedModel(capacity=1, outcome=no_memory_at_first)
    bench = on_stage(desk, model)
    job = ask(bench, seed=1, takes=3)
    bench.work()
    assert seeds(model.entered) == [1]
    assert (bench.job(job)["status"], bench.job(job)["attempts"]) == ("queued", 1)
    desk.clock.advance(10)
    bench.work()
    assert (bench.job(job)["status"], bench.job(job)["attempts"]) == ("succeeded", 2)
    assert seeds(model.entered) == [1, 1, 2, 3]
