"""What a read, a claim, a beat and a sweep cost as the history grows, and by which plans.

    python -m benchmarks.database                     PostgreSQL and SQLite, each to a million jobs
    python -m benchmarks.database --jobs 10000 100000 smaller, quicker
    python -m benchmarks.database --plans             the plan of every statement, too

Starts a PostgreSQL of its own (see tests/postgres.py). Prints the tables of benchmarks/database.md.
"""

import argparse
import datetime as dt
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event, select

from benchmarks.filling import MODEL, ONE_IN_A_THOUSAND, PARAMS, START, WAITING, fill
from tests.figures import machine
from tests.postgres import USER, running
from tests.rows import add_prompt, job_of
from text2song.audio import queries as audio
from text2song.audio.tables import AudioSample
from text2song.blobs.memory import MemoryBlobs
from text2song.db import schema
from text2song.db.base import new_id
from text2song.db.engine import open_engine
from text2song.generation import queries as generation
from text2song.generation.tables import GenerationJob
from text2song.jobs import lifecycle
from text2song.jobs.queue import SilentQueue
from text2song.prompts import queries as prompts
from text2song.settings import load_settings
from text2song.studio import Reader, Studio, Work

TIMES: Final = 25
"""Each act is measured so often; the median is told."""
NOW: Final = START + dt.timedelta(days=365)
DATABASES: Final = ("PostgreSQL", "SQLite")
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
"""Jobs; a tenth as many prompts and takes."""
BIG: Final = ("generation_jobs", "generation_takes", "audio_samples", "prompts")
WHOLE_TABLE: Final = re.compile(rf"Seq Scan on ({'|'.join(BIG)})|SCAN ({'|'.join(BIG)})(?! USING)")

ReadAct = Callable[[Reader], object]


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", help="sizes instead of the usual ones")
    parser.add_argument("--plans", action="store_true", help="print the plan of every statement")
    options = parser.parse_args()
    facts = machine()
    print(f"{facts['processor']}, {facts['memory']}, {facts['system']}")
    for name in DATABASES:
        with opened(name) as (engine, version):
            studio = Studio(engine, MemoryBlobs(), SilentQueue(), load_settings({}), clock=lambda: NOW)
            measured = [measure(studio, jobs) for jobs in growing(engine, options.jobs or SIZES)]
        print_table(f"{version}, milliseconds (median of {TIMES})", measured)
        print_scans(measured[-1])
        if options.plans:
            print_plans(measured[-1])


@contextmanager
def opened(name: str) -> Iterator[tuple[Engine, str]]:
    """An empty studio's database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if name == "SQLite":
            engine = open_engine(f"sqlite:///{folder / 'studio.db'}")
        else:
            server = stack.enter_context(running("shared_buffers=512MB", "max_wal_size=8GB"))
            server.run_sql(f"CREATE DATABASE studio OWNER {USER}")
            engine = open_engine(server.url("studio"))
        schema.upgrade(engine, backups=folder, now=START)
        stack.callback(engine.dispose)
        with engine.connect() as connection:
            query = "SELECT sqlite_version()" if name == "SQLite" else "SHOW server_version"
            version = str(connection.exec_driver_sql(query).scalar()).split(" ", 1)[0]
        yield engine, f"{name} {version}"


def growing(engine: Engine, sizes: Sequence[int]) -> Iterator[int]:
    """Each size, once the database has it."""
    before = 0
    for jobs in sizes:
        began = time.monotonic()
        fill(engine, jobs_before=before, jobs=jobs)
        print(f"{engine.dialect.name}: filled to {jobs:,} jobs in {time.monotonic() - began:.0f} s")
        before = jobs
        yield jobs


@dataclass
class Measured:
    """What was measured at one size."""

    jobs: int
    milliseconds: dict[str, float] = field(default_factory=dict)
    statements: dict[str, int] = field(default_factory=dict)
    plans: dict[str, list[list[str]]] = field(default_factory=dict)


def measure(studio: Studio, jobs: int) -> Measured:
    """Every act at this size."""
    measured = Measured(jobs)
    for name, act in reads(studio).items():
        with studio.read() as reader, watched(studio.engine, measured, name):
            act(reader)
        taken = []
        for _ in range(TIMES):
            began = time.perf_counter()
            with studio.read() as reader:
                act(reader)
            taken.append(time.perf_counter() - began)
        measured.milliseconds[name] = statistics.median(taken) * 1e3
    for name, taken in written(studio, measured).items():
        measured.milliseconds[name] = statistics.median(taken) * 1e3
    return measured


def reads(studio: Studio) -> Mapping[str, ReadAct]:
    """What people ask for."""
    with studio.read() as reader:
        newest_ids = select(GenerationJob.id).order_by(GenerationJob.id.desc())
        over = reader.session.scalars(newest_ids.where(GenerationJob.status == "succeeded").limit(1)).one()
        last = reader.session.scalars(newest_ids.limit(1)).one()
        of_some = select(AudioSample.adapter_id).where(AudioSample.adapter_id.is_not(None)).limit(1)
        adapter = reader.session.scalars(of_some).one()
        favourite = reader.session.scalars(
            select(GenerationJob.prompt_id).order_by(GenerationJob.id).limit(1)
        ).one()
        lately = reader.session.scalars(
            select(AudioSample.prompt_id).order_by(AudioSample.id.desc()).limit(1)
        ).one()

    def job(job_id: uuid.UUID) -> ReadAct:
        return lambda reader: generation.describe(reader, [generation.get(reader, job_id)])

    def jobs(**given: Any) -> ReadAct:  # noqa: ANN401  # a filter of the list
        def read(reader: Reader) -> object:
            wanted: dict[str, Any] = {"status": None, "prompt_id": None, "cursor": None, "limit": 50, **given}
            return generation.describe(reader, generation.find(reader, **wanted).rows)

        return read

    def found(search: str | None) -> ReadAct:
        return lambda reader: prompts.find(reader, search=search, cursor=None, limit=50)

    def samples(**given: Any) -> ReadAct:  # noqa: ANN401  # a filter of the list
        wanted: dict[str, Any] = {"prompt_id": None, "adapter_id": None, "cursor": None, "limit": 50, **given}
        return lambda reader: audio.find(reader, **wanted)

    return {
        "GET /generate/{id}, finished": job(over),
        f"GET /generate/{{id}}, last of {WAITING} waiting": job(last),
        "GET /generate": jobs(),
        "GET /generate?status=succeeded": jobs(status="succeeded"),
        "GET /generate?status=queued": jobs(status="queued"),
        "GET /generate?status=failed (1 of 1,000)": jobs(status="failed"),
        "GET /generate?prompt_id= (ten of late)": jobs(prompt_id=lately),
        "GET /generate?prompt_id= (500, long ago)": jobs(prompt_id=favourite),
        "GET /generate?prompt_id=&status=succeeded (500, long ago)": jobs(
            prompt_id=favourite, status="succeeded"
        ),
        "GET /prompts": found(None),
        "GET /prompts?q=piano (in each)": found("piano"),
        f"GET /prompts?q={ONE_IN_A_THOUSAND} (1 of 1,000)": found(ONE_IN_A_THOUSAND),
        "GET /prompts?q=absent": found("absent"),
        "GET /audio": samples(),
        "GET /audio?adapter_id= (half of them)": samples(adapter_id=adapter),
        "GET /audio?prompt_id= (one of late)": samples(prompt_id=lately),
        "GET /audio?prompt_id= (500, long ago)": samples(prompt_id=favourite),
        "GET /audio?prompt_id=&adapter_id= (250, long ago)": samples(prompt_id=favourite, adapter_id=adapter),
        "sequences of 500 jobs, for those who wait": lambda reader: generation.sequences(
            reader, [new_id() for _ in range(499)] + [last]
        ),
    }


def written(studio: Studio, measured: Measured) -> dict[str, list[float]]:
    """Submitting, and what workers do; each act in a unit of its own that is taken back or commits little."""
    taken: dict[str, list[float]] = {}
    prompt_id = _prompt(studio)

    def timed(name: str, act: Callable[[Work], object]) -> object:
        is_first = name not in taken
        began = time.perf_counter()
        with ExitStack() as stack:
            if is_first:
                stack.enter_context(watched(studio.engine, measured, name))
            with studio.work() as work:
                result = act(work)
        taken.setdefault(name, [])
        if not is_first:
            taken[name].append(time.perf_counter() - began)
        return result

    for _ in range(TIMES + 1):
        job = job_of(prompt_id, model=MODEL, generation_params=PARAMS)
        timed("submit (the row of one job)", lambda work, job=job: work.session.add(job))  # type: ignore[misc]  # its default
        claim = timed("claim", _claim)
        assert isinstance(claim, lifecycle.Claim)
        timed("beat", lambda work, claim=claim: _beat(work, claim))  # type: ignore[misc]  # its default
        timed("sweep", lambda work: lifecycle.sweep(work.session, GenerationJob, now=NOW))
        with studio.work() as work:
            lifecycle.cancel(work.session, GenerationJob, claim.job_id, now=NOW)
    return taken


def _prompt(studio: Studio) -> uuid.UUID:
    with studio.work() as work:
        return add_prompt(work.session)


def _claim(work: Work) -> lifecycle.Claim | None:
    accepts = GenerationJob.model == MODEL
    return lifecycle.claim(work.session, GenerationJob, worker="w", now=NOW, lease_seconds=15, where=accepts)


def _beat(work: Work, claim: lifecycle.Claim) -> None:
    report = lifecycle.Report(0.5, "composing")
    assert lifecycle.beat(work.session, GenerationJob, claim, now=NOW, lease_seconds=15, report=report)


@contextmanager
def watched(engine: Engine, measured: Measured, name: str) -> Iterator[None]:
    """Note how many statements an act takes, and their plans."""
    asked: list[tuple[str, Any]] = []

    def note(*told: Any) -> None:  # noqa: ANN401  # SQLAlchemy's: connection, cursor, statement, parameters
        asked.append(told[2:4])

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)
    ours = [(sql, values) for sql, values in asked if any(table in sql for table in BIG)]
    measured.statements[name] = len(ours)
    measured.plans[name] = [_plan(engine, sql, values) for sql, values in ours]


def _plan(engine: Engine, sql: str, values: Any) -> list[str]:  # noqa: ANN401  # the driver's
    word = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        rows = raw.cursor().execute(f"{word} {sql}", values).fetchall()
        raw.rollback()
    return [str(row[-1]) for row in rows]


def print_table(title: str, measured: Sequence[Measured]) -> None:
    """One row for each act, one column for each size."""
    print(f"\n### {title}\n")
    sizes = " | ".join(f"{each.jobs:,} jobs" for each in measured)
    print(f"| | statements | {sizes} | last to first |")
    print("|---" * (len(measured) + 3) + "|")
    for name in measured[-1].milliseconds:
        times = [each.milliseconds[name] for each in measured]
        told = " | ".join(f"{each:.2f}" for each in times)
        print(f"| {name} | {measured[-1].statements[name]} | {told} | {times[-1] / times[0]:.1f} |")


def print_scans(measured: Measured) -> None:
    """The acts that read a whole table."""
    scans = {
        name: sorted(
            {m.group(1) or m.group(2) for plan in plans for m in WHOLE_TABLE.finditer("\n".join(plan))}
        )
        for name, plans in measured.plans.items()
    }
    told = [f"- {name}: {', '.join(tables)}" for name, tables in scans.items() if tables]
    print(f"\nRead whole at {measured.jobs:,} jobs:" if told else "\nNothing reads a whole table.")
    print("\n".join(told))


def print_plans(measured: Measured) -> None:
    """Everything."""
    for name, plans in measured.plans.items():
        for plan in plans:
            print(f"\n{name}\n    " + "\n    ".join(plan))


if __name__ == "__main__":
    main()
