"""Every server struck at random moments under jobs: each job that was accepted succeeds, each take is once.

`CHAOS_SEED` chooses other moments, and another order; the seed is printed with the figures.
"""

import hashlib
import os
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.e2e.chaos import (
    FAULTS,
    LEASE_SECONDS,
    SWEEP_SECONDS,
    TAKE_SECONDS,
    WORKERS,
    Chaos,
    Customers,
    Struck,
    opened_chaos,
    takes_of,
)
from tests.figures import RecordFigure
from tests.object_store import SECRET, ObjectStore
from tests.postgres import INSTALL, PASSWORD, programs
from text2song.audio.tables import AudioSample
from text2song.generation.tables import GenerationJob, GenerationTake

LATE_SECONDS = 2.0
"""What a machine of two processors may add to any bound."""
BUSY_SECONDS = 10.0
"""Before a worker claims, a row must be free, and the first take of a new one loads what measures sound."""
STEP_SECONDS = 0.005
"""Of the staged model; without it, the untrained one works as fast as the machine lets it."""
SEED = int(os.environ.get("CHAOS_SEED", "7"))


@dataclass(frozen=True)
class Plan:
    """How much is struck."""

    seed: int
    rounds: int
    """Every fault once in each."""
    open_jobs: int
    step_seconds: float | None


SHORT = pytest.param(Plan(SEED, 1, 8, STEP_SECONDS), marks=pytest.mark.slow, id="each-fault-once")
LONG = [
    pytest.param(Plan(SEED + n, 3, 50, step_seconds), marks=pytest.mark.proof, id=f"{model}-model")
    for n, (model, step_seconds) in enumerate({"staged": STEP_SECONDS, "untrained": None}.items())
]


@pytest.mark.parametrize("plan", [SHORT, *LONG])
@pytest.mark.timeout(1200)
@pytest.mark.skipif(programs() is None, reason=f"PostgreSQL is not installed: {INSTALL}")
def test_whatever_is_struck_every_job_succeeds_and_every_take_is_there_once(
    plan: Plan,
    tmp_path: Path,
    mortal_object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    record_figure: RecordFigure,
) -> None:
    for name, value in mortal_object_store.environment.items():
        monkeypatch.setenv(name, value)
    chance = random.Random(plan.seed)
    record_figure("seed", plan.seed, "")
    with (
        opened_chaos(tmp_path, object_store=mortal_object_store, step_seconds=plan.step_seconds) as chaos,
        Customers(chaos.server, plan.open_jobs) as customers,
    ):
        struck: dict[str, list[Struck]] = defaultdict(list)
        for _ in range(plan.rounds):
            for name in chance.sample(sorted(FAULTS), len(FAULTS)):
                time.sleep(chance.uniform(0.0, 1.0))
                struck[name].append(FAULTS[name](chaos, chance))
                _wait_for_claims(chaos, struck[name][-1], name)
        chaos.at_work()
        customers.is_content.set()
        customers.__exit__()
        assert customers.failure is None, customers.failure
        jobs = chaos.site.finished(*map(uuid.UUID, customers.accepted), timeout_seconds=300)
        for name, times in struck.items():
            _record(record_figure, chaos, name, times)
        record_figure("jobs", len(jobs), "jobs")
        record_figure("answers that told to try again, or none", _unhelpful(customers.answers), "answers")
        record_figure("lost leases", sum(job.lost_leases for job in jobs), "")
        record_figure("attempts that failed", sum(job.failures for job in jobs), "")
        told = {job.error_message for job in jobs if job.error_message}
        assert Counter(job.status for job in jobs) == {"succeeded": len(jobs)}, told
        _require_every_take_once(chaos, customers)
        _require_bytes_of_every_row(chaos)
        _require_no_secret_in_logs(chaos)


def _wait_for_claims(chaos: Chaos, struck: Struck, name: str) -> None:
    """Until work goes on, and what was lost is in other hands; soon enough."""
    bound = LEASE_SECONDS + SWEEP_SECONDS

    def goes_on() -> bool:
        again = chaos.ledger.seconds_to_claim_again(struck.lost, struck.ended_at)
        return None not in [chaos.ledger.seconds_to_the_next_claim(struck.ended_at), *again]

    chaos.site.wait_until(goes_on, limit_seconds=60)
    waited = _seconds_to_claim(chaos, struck)
    waiting = [s or 0.0 for s in chaos.ledger.seconds_to_give_back(struck.lost, struck.ended_at)]
    told = chaos.ledger.told(struck.lost, struck.ended_at)
    assert max(waiting, default=0.0) < bound + LATE_SECONDS, f"after {name}, they wait:\n{told}"
    assert waited < bound + BUSY_SECONDS, f"after {name}, claimed again after {waited:.1f} s:\n{told}"


def _seconds_to_claim(chaos: Chaos, struck: Struck) -> float:
    """From the end of the fault to the last of the claims that it calls for."""
    again = chaos.ledger.seconds_to_claim_again(struck.lost, struck.ended_at)
    next_claim = chaos.ledger.seconds_to_the_next_claim(struck.ended_at)
    return max(seconds for seconds in [next_claim, *again] if seconds is not None)


def _record(record_figure: RecordFigure, chaos: Chaos, name: str, times: Sequence[Struck]) -> None:
    """The worst of all times."""
    ledger = chaos.ledger
    given_back = [
        seconds or 0.0 for each in times for seconds in ledger.seconds_to_give_back(each.lost, each.ended_at)
    ]
    if given_back:
        record_figure(f"{name}: until its jobs waited again", max(given_back), "s")
    record_figure(f"{name}: until they were claimed", max(_seconds_to_claim(chaos, e) for e in times), "s")


def _unhelpful(answers: Counter[str]) -> int:
    return sum(count for said, count in answers.items() if said != "success")


def _require_every_take_once(chaos: Chaos, customers: Customers) -> None:
    ids = [uuid.UUID(job_id) for job_id in customers.accepted]
    numbers = list(customers.accepted.values())
    assert sorted(numbers) == list(range(len(numbers)))  # a job asked for twice is one job
    chaos.site.require_each_take_once(ids, takes=sum(map(takes_of, numbers)))
    with chaos.site.studio.read() as reader:
        assert set(reader.session.scalars(select(GenerationJob.id))) == set(ids)
        takes = reader.session.execute(select(GenerationTake.job_id, GenerationTake.take)).all()
        codes = reader.session.execute(
            select(GenerationTake.seed, AudioSample.codes_sha256).join(
                AudioSample, AudioSample.id == GenerationTake.audio_id
            )
        ).all()
    wanted = {(uuid.UUID(i), take) for i, n in customers.accepted.items() for take in range(takes_of(n))}
    assert Counter(map(tuple, takes)) == Counter(wanted)
    assert len({tuple(row) for row in codes}) == len({seed for seed, _ in codes})  # equal seeds, equal music


def _require_bytes_of_every_row(chaos: Chaos) -> None:
    """Sound, outline and codes: there, and whole; a blob's name is the digest of its bytes."""
    with chaos.site.studio.read() as reader:
        samples = reader.session.scalars(select(AudioSample)).all()
        keys = {
            key for sample in samples for key in (sample.storage_path, sample.peaks_path, sample.codes_path)
        }
        for key in keys:
            digest = hashlib.sha256(reader.blobs.read(key)).hexdigest()
            assert digest == Path(key).name.partition(".")[0], key
    assert {round(sample.duration_seconds, 3) for sample in samples} == {TAKE_SECONDS}
    assert all(sample.sha256 in sample.storage_path for sample in samples)


def _require_no_secret_in_logs(chaos: Chaos) -> None:
    logs = [worker.log.read_text() for worker in chaos.site.workers] + [chaos.server.log]
    assert len(logs) > WORKERS
    for log in logs:
        assert not any(secret in log for secret in ("sesame", PASSWORD, SECRET))
