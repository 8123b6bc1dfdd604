"""Jobs and batches: what does not fit, what is not answered, what only certain weights can do."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.benches import Bench
from tests.studios import Desk
from text2song.errors import InvalidInput, OutOfMemory
from text2song.generation import job as job_module
from text2song.generation.job import GenerationHandler
from text2song.generation.tables import KIND, GenerationTake
from text2song.jobs import lifecycle
from text2song.jobs.leases import Leases
from text2song.jobs.runner import Pace, Runner
from text2song.model.protocol import RowResult, Watch
from text2song.music.spec import GenerationSpec


def test_a_job_larger_than_a_batch_lets_others_come_between(bench: Bench) -> None:
    large = bench.desk.submit(num_samples=bench.capacity * 2 + 1, generation_params={"duration": 0.5})
    small = bench.desk.submit(generation_params={"duration": 0.5}, prompt={"text": "a short one"})
    bench.work()
    sentences = [[spec.sentence for spec in batch] for batch in bench.batches]
    assert sentences[0] == ["a slow walk home"] * bench.capacity
    assert "a short one" in sentences[-1]
    done = bench.job(large)
    assert done["status"] == "succeeded"
    assert done["attempts"] == 1
    assert len({sample["id"] for sample in done["samples"]}) == bench.capacity * 2 + 1
    assert bench.job(small)["status"] == "succeeded"


def test_a_batch_that_does_not_fit_is_halved_and_costs_no_attempt(bench: Bench) -> None:
    fits = 1

    def too_large(desk: Desk, result: RowResult) -> RowResult:
        del desk
        if len(bench.batches[-1]) > fits:
            raise OutOfMemory("no memory left to compose so many takes at once.")
        return result

    bench.trouble = too_large
    job = bench.make(num_samples=bench.capacity)
    assert job["status"] == "succeeded"
    assert [len(batch) for batch in bench.batches] == [4, 2, 1, 1, 1, 1]
    assert (job["attempts"], job["error"]) == (1, None)


def test_once_the_memory_is_free_again_batches_grow_to_their_size(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "CLEAN_BATCHES", 2)
    pinches = iter([True, True])

    def too_large(desk: Desk, result: RowResult) -> RowResult:
        del desk
        if next(pinches, False):
            raise OutOfMemory("no memory left to compose so many takes at once.")
        return result

    bench.trouble = too_large
    jobs = [bench.desk.submit(num_samples=16, generation_params={"duration": 0.5}) for _ in range(2)]
    bench.work()
    assert [bench.job(job)["status"] for job in jobs] == ["succeeded"] * 2
    sizes = [len(batch) for batch in bench.batches]
    assert sizes[:8] == [4, 2, 1, 1, 2, 2, 4, 4]  # halved twice, then doubled after every two that fitted
    assert max(sizes) == bench.capacity  # and never more than the model has room for


def test_one_take_that_does_not_fit_is_told_after_its_attempts(bench: Bench) -> None:
    def too_large(desk: Desk, result: RowResult) -> RowResult:
        del desk, result
        raise OutOfMemory("no memory left to compose a take.")

    bench.trouble = too_large
    job = bench.desk.submit()
    for _ in range(3):
        bench.work()
        bench.desk.clock.advance(60)
    assert bench.job(job)["status"] == "failed"
    assert bench.job(job)["error"]["code"] == "out_of_memory"


def test_one_take_that_does_not_fit_is_the_trouble_of_its_own_job_alone(bench: Bench) -> None:
    def too_large(desk: Desk, result: RowResult) -> RowResult:
        del desk
        if len(bench.batches[-1]) > 1 or bench.batches[-1][0].duration_seconds > 1:
            raise OutOfMemory("no memory left to compose a take.")
        return result

    bench.trouble = too_large
    large, small = (bench.desk.submit(generation_params={"duration": seconds}) for seconds in (2, 0.5))
    handler = GenerationHandler(bench.desk.studio, bench)
    for _ in range(2):  # both, then one alone: what was claimed may be more than what fits by now
        with bench.desk.studio.work() as work:
            claims = [
                lifecycle.claim(work.session, handler.table, worker="w", now=work.clock(), lease_seconds=60)
                for _ in range(2)
            ]
        leases = Leases(lambda _: set(), beat_seconds=60, lease_seconds=60)
        handler.run([claim for claim in claims if claim], leases, is_stopping=lambda: False)
    assert [len(batch) for batch in bench.batches] == [2, 1]
    waits, goes_on = bench.job(large), bench.job(small)
    assert (waits["status"], waits["error"]["code"]) == ("queued", "out_of_memory")
    assert (goes_on["status"], goes_on["error"], goes_on["attempts"]) == ("queued", None, 0)
    bench.work()
    assert bench.job(small)["status"] == "succeeded"  # while the other one waits for its next attempt


def test_a_model_that_forgets_a_take_is_an_error_and_not_a_success(bench: Bench) -> None:
    class Forgetful:
        info = bench.model.info
        capacity = bench.model.capacity

        def generate(self, specs: Sequence[GenerationSpec], *, watch: Watch) -> Iterator[RowResult]:
            yield from list(bench.model.generate(specs, watch=watch))[1:]

    job = bench.desk.submit(num_samples=2, generation_params={"duration": 0.5})
    handler = GenerationHandler(bench.desk.studio, Forgetful())
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
        generate = bench.model.generate

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
