"""How much more two workers make than one, on one queue, with a model whose every step takes the same time.

    python -m benchmarks.workers                    prints the table of benchmarks/workers.md
    python -m benchmarks.workers --workers 1 2 4    with other numbers of workers

Starts a PostgreSQL and a Valkey of its own (see tests/postgres.py and tests/doorbells.py). The model's steps
sleep, as a processor does whose GPU works: so two workers on two processors are told apart by what they
share (queue, database, files), and not by the processors that they would take from each other.
"""

import argparse
import signal
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.doorbells import opened_broker
from tests.e2e.worksite import Worksite, worksite_at
from tests.figures import machine
from tests.postgres import USER, running
from text2song.db import schema
from text2song.db.engine import open_engine
from text2song.names import NOISE_MODEL
from text2song.studio import utc_now

STEP_SECONDS: Final = 0.02
"""A frame: MusicGen makes fifty for a second of sound."""
TAKES: Final = 4
"""Of each job, which fills a batch."""
TAKE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What a number of workers made of some jobs."""

    takes: int
    seconds: float
    """From the first claim to the last take, by the rows."""
    shares: tuple[int, ...]
    """Jobs of each worker."""

    @property
    def takes_a_second(self) -> float:
        """The throughput."""
        return self.takes / self.seconds


def main() -> None:
    """Measure by turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=16, help="in each round")
    options = parser.parse_args()
    facts = machine()
    print(f"{facts['processor']}, {facts['memory']}, {facts['system']}")
    measured: dict[int, list[Shared]] = {workers: [] for workers in options.workers}
    with tempfile.TemporaryDirectory() as folder, opened_site(Path(folder)) as site:
        for _ in range(options.rounds):
            for workers in options.workers:
                measured[workers].append(share(site, workers=workers, jobs=options.jobs))
    print_table(measured)


@contextmanager
def opened_site(folder: Path, *, step_seconds: float = STEP_SECONDS) -> Iterator[Worksite]:
    """A studio on PostgreSQL and Valkey, whose workers have the staged model."""
    home = folder / "home"
    home.mkdir()
    with ExitStack() as stack:
        postgresql = stack.enter_context(running())
        postgresql.run_sql(f"CREATE DATABASE studio OWNER {USER}")
        broker = stack.enter_context(opened_broker())
        given = {
            "TEXT2SONG_HOME": str(home),
            "TEXT2SONG_MODEL": NOISE_MODEL,
            "TEXT2SONG_DATABASE_URL": postgresql.url("studio"),
            "TEXT2SONG_QUEUE_URL": broker.url,
            "TEXT2SONG_CAPACITY": str(TAKES),
        }
        engine = open_engine(given["TEXT2SONG_DATABASE_URL"])
        schema.upgrade(engine, backups=folder, now=utc_now())
        engine.dispose()
        site = stack.enter_context(worksite_at(home, broker=broker, given=given))
        site.program = "tests.e2e.staged"
        site.environment["STAGED_STEP_SECONDS"] = str(step_seconds)
        yield site


def share(site: Worksite, *, workers: int, jobs: int) -> Shared:
    """Have so many workers make these jobs, which people submit one after the other."""
    wanted = site.living(workers)
    for superfluous in [each for each in site.workers if each not in wanted and each.process.poll() is None]:
        superfluous.signal(signal.SIGTERM)
        superfluous.ended()
    ids = [site.submit(takes=TAKES, duration_seconds=TAKE_SECONDS) for _ in range(jobs)]
    done = site.finished(*ids, timeout_seconds=600)
    assert {job.status for job in done} == {"succeeded"}
    site.require_each_take_once(ids, takes=TAKES * jobs)
    began = min(job.started_at for job in done if job.started_at is not None)
    ended = max(job.finished_at for job in done if job.finished_at is not None)
    shares = Counter(job.claimed_by for job in done)
    return Shared(TAKES * jobs, (ended - began).total_seconds(), tuple(sorted(shares.values())))


def print_table(measured: dict[int, list[Shared]]) -> None:
    """One row for each number of workers."""
    first = min(measured)
    base = _median(measured[first])
    print(f"\n| workers | takes a second, median | lowest to highest | times {first} | jobs of each |")
    print("|---|---|---|---|---|")
    for workers, rounds in measured.items():
        rates = [each.takes_a_second for each in rounds]
        shares = " + ".join(map(str, rounds[-1].shares))
        print(
            f"| {workers} | {_median(rounds):.3f} | {min(rates):.3f} to {max(rates):.3f} "
            f"| {_median(rounds) / base:.2f} | {shares} |"
        )


def _median(rounds: Sequence[Shared]) -> float:
    return statistics.median(each.takes_a_second for each in rounds)


if __name__ == "__main__":
    main()
