"""Fills a database with rows of a long history, by statements that run inside it.

Legend: a studio of `jobs` jobs has a tenth as many prompts and takes, 500 users, and 500 jobs that
wait whatever its size. Ids are in the form of UUIDv7, so that order is creation order.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Engine, Table, text

from text2song.db.engine import write_session
from text2song.db.postgresql import take_time
from text2song.db.registry import metadata

START: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MODEL: Final = "test/model"
USERS: Final = 500
WAITING: Final = 500
PROMPTS_OF, JOBS_OF, TAKES_OF, SAMPLES_OF, ADAPTERS_OF = range(5)
"""The second half of an id says what it is of."""
OLD_FAVOURITE: Final = 500
"""So many of the first jobs, and of the first takes, were made of one prompt, and none since: whoever reads
the newest first until these are found reads everything."""
ONE_IN_A_THOUSAND: Final = "zither"
"""A word of every thousandth prompt; `piano` is in each."""
PARAMS: Final = {
    "seed": 7,
    "temperature": 1.0,
    "top_k": 250,
    "top_p": 1.0,
    "guidance_scale": 3.0,
    "duration": 8.0,
}


class Sql:
    """What the two dialects call differently."""

    def __init__(self, engine: Engine) -> None:
        self.is_postgresql = engine.dialect.name == "postgresql"

    def id(self, number: str, kind: int) -> str:
        """The id of the `number`-th row of its kind."""
        if self.is_postgresql:
            digits = f"lpad(to_hex({number}), 12, '0') || '70008000' || lpad('{kind}', 12, '0')"
            return f"({digits})::uuid"
        return f"printf('%012x', {number}) || '70008000' || printf('%012d', {kind})"

    def moment(self, number: str) -> str:
        """A second later for each row."""
        if self.is_postgresql:
            return f"timestamptz '{START.isoformat()}' + ({number}) * interval '1 second'"
        return f"strftime('%Y-%m-%d %H:%M:%S.000000', '{START:%Y-%m-%d %H:%M:%S}', ({number}) || ' seconds')"

    def json(self, value: object) -> str:
        """A constant."""
        return f"'{json.dumps(value)}'" + ("::jsonb" if self.is_postgresql else "")

    def digest(self, number: str) -> str:
        """64 letters that no other row has."""
        return f"lpad({number}::text, 64, '0')" if self.is_postgresql else f"printf('%064d', {number})"

    def numbers(self, first: int, last: int) -> str:
        """The rows `n` from `first` to `last`."""
        if self.is_postgresql:
            return f"generate_series({first}, {last}) AS numbers(n)"
        series = f"SELECT {first} AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}"  # noqa: S608  # ours
        return f"(WITH RECURSIVE numbers(n) AS ({series}) SELECT n FROM numbers) AS numbers"  # noqa: S608  # ours


def fill(engine: Engine, *, jobs_before: int, jobs: int) -> None:
    """Make the history longer: from `jobs_before` finished jobs to `jobs`."""
    sql = Sql(engine)
    with write_session(engine) as session, session.begin():
        if sql.is_postgresql:
            take_time(session.connection())
        for statement in _statements(sql, jobs_before=jobs_before, jobs=jobs):
            session.execute(text(statement.replace(":", r"\:")))
    if sql.is_postgresql:  # what autovacuum does within a minute of such a flood
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _statements(sql: Sql, *, jobs_before: int, jobs: int) -> Iterator[str]:
    tables = metadata().tables
    if jobs_before == 0:
        adapter = _adapter(sql)
        yield _insert(tables["adapters"], adapter, sql.numbers(1, 1))
        yield _insert(tables["prompts"], _prompt(sql), sql.numbers(0, 0))
        yield _insert(tables["generation_jobs"], _waiting_job(sql), sql.numbers(1, WAITING))
    few = sql.numbers(jobs_before // 10 + 1, jobs // 10)
    yield _insert(tables["prompts"], _prompt(sql), few)
    yield _insert(tables["generation_jobs"], _finished_job(sql), sql.numbers(jobs_before + 1, jobs))
    yield _insert(tables["audio_samples"], _sample(sql), few)
    yield _insert(tables["generation_takes"], _take(sql), few)


def _insert(table: Table, values: Mapping[str, str], numbers: str) -> str:
    given = {name: values.get(name, "NULL") for name in table.columns.keys()}  # noqa: SIM118  # not a dict
    return f"INSERT INTO {table.name} ({', '.join(given)}) SELECT {', '.join(given.values())} FROM {numbers}"  # noqa: S608  # our own words


def _adapter(sql: Sql) -> dict[str, str]:
    return {
        "id": sql.id("n", ADAPTERS_OF),
        "name": "'warm'",
        "version": "'1.0.0'",
        "description": "''",
        "base_model": f"'{MODEL}'",
        "storage_path": "'adapters/a'",
        "digest": sql.digest("n"),
        "training_config": sql.json({}),
        "created_at": sql.moment("n"),
        "is_active": "true",
    }


def _prompt(sql: Sql) -> dict[str, str]:
    words = f"'slow piano number ' || n || CASE WHEN n % 1000 = 1 THEN ' {ONE_IN_A_THOUSAND}' ELSE '' END"
    return {
        "id": sql.id("n", PROMPTS_OF),
        "text": words,
        "words": words,
        "attributes": sql.json({"mood": "calm", "tempo": 84}),
        "visibility": "'private'",
        "created_at": sql.moment("n"),
    }


def _job(sql: Sql) -> dict[str, str]:
    return {
        "prompt_id": sql.id(f"CASE WHEN n <= {OLD_FAVOURITE} THEN 1 ELSE n / 10 END", PROMPTS_OF),
        "visibility": "'private'",
        "sentence": "'slow piano number ' || n",
        "model": f"'{MODEL}'",
        "num_samples": "1",
        "frames_total": "400",
        "sides": sql.json([[]]),
        "generation_params": sql.json(PARAMS),
        "priority": "n % 3",
        "turn_key": f"'user ' || (n % {USERS})",
        "rows": "1",
        "rows_begun": "0",
        "cost": "8.0",
        "sequence": "3",
        "attempts": "1",
        "failures": "0",
        "lost_leases": "0",
        "created_at": sql.moment("n"),
    }


def _finished_job(sql: Sql) -> dict[str, str]:
    """One in a thousand failed."""
    return _job(sql) | {
        "id": sql.id("n", JOBS_OF),
        "status": "CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'succeeded' END",
        "progress": "1.0",
        "stage": "'done'",
        "claimed_by": "'worker 1'",
        "claimed_at": sql.moment("n"),
        "started_at": sql.moment("n"),
        "finished_at": sql.moment("n + 5"),
    }


def _waiting_job(sql: Sql) -> dict[str, str]:
    """After all that is finished, whatever comes to be finished later."""
    return _job(sql) | {
        "id": sql.id("n + 1000000000", JOBS_OF),
        "prompt_id": sql.id("0", PROMPTS_OF),
        "turn_key": "'user ' || (n % 40)",
        "status": "'queued'",
        "progress": "0.0",
        "stage": "'waiting'",
        "attempts": "0",
    }


def _sample(sql: Sql) -> dict[str, str]:
    """Every other one with the adapter."""
    return {
        "id": sql.id("n", SAMPLES_OF),
        "prompt_id": sql.id(f"CASE WHEN n <= {OLD_FAVOURITE} THEN 1 ELSE n END", PROMPTS_OF),
        "visibility": "'private'",
        "adapter_id": f"CASE WHEN n % 2 = 0 THEN {sql.id('1', ADAPTERS_OF)} END",
        **{name: f"'{name}/' || {sql.digest('n')}" for name in ("storage_path", "peaks_path", "codes_path")},
        "sha256": sql.digest("n"),
        "codes_sha256": sql.digest("n"),
        "size_bytes": "500000",
        "duration_seconds": "8.0",
        "sample_rate": "32000",
        "channels": "1",
        "sentence": "'slow piano number ' || n",
        "model": f"'{MODEL}'",
        "generation_params": sql.json({**PARAMS, "sentence": "slow piano", "adapters": []}),
        "provenance": sql.json(
            {
                "model": MODEL, "revision": "r", "fingerprint": "f", "license": "Apache-2.0",
                "is_trained": True, "dtype": "float32", "versions": {}, "token_ids": [1, 2, 3],
            }
        ),
        "created_at": sql.moment("n"),
    }  # fmt: skip


def _take(sql: Sql) -> dict[str, str]:
    return {
        "id": sql.id("n", TAKES_OF),
        "job_id": sql.id("n * 10", JOBS_OF),
        "take": "0",
        "side": "0",
        "status": "'succeeded'",
        "seed": "7",
        "spec": sql.json({**PARAMS, "sentence": "slow piano", "adapters": []}),
        "audio_id": sql.id("n", SAMPLES_OF),
        "finished_at": sql.moment("n"),
    }
