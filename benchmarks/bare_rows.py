"""The peer: what FastAPI and PostgreSQL alone need to answer with the same rows.

    python -m benchmarks.bare_rows PORT DATABASE_URL

One statement for each answer, a pool of connections, pydantic's serialisation; no checks at the door, no
log, no estimates, nothing that would have to wait.
"""

import sys
import uuid
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, HTTPException
from sqlalchemy import Engine, create_engine, text

JOB: Final = """
    SELECT job.*, (SELECT json_agg(take.*) FROM generation_takes take WHERE take.job_id = job.id) AS takes
    FROM generation_jobs job
"""
SAMPLE: Final = "SELECT * FROM audio_samples"
PROMPT: Final = "SELECT * FROM prompts"


def bare_app(engine: Engine) -> FastAPI:
    """One row by its id, or the newest."""
    app = FastAPI()

    def rows(query: str, **values: object) -> list[dict[str, Any]]:
        with engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(query), values)]  # noqa: SLF001  # its public name

    def one(query: str, row_id: uuid.UUID) -> dict[str, Any]:
        found = rows(f"{query} WHERE id = :id", id=row_id)
        if not found:
            raise HTTPException(404)
        return found[0]

    @app.get("/generate/{row_id}")
    def job(row_id: uuid.UUID) -> dict[str, Any]:
        return one(JOB, row_id)

    @app.get("/audio/{row_id}")
    def sample(row_id: uuid.UUID) -> dict[str, Any]:
        return one(SAMPLE, row_id)

    @app.get("/prompts/{row_id}")
    def prompt(row_id: uuid.UUID) -> dict[str, Any]:
        return one(PROMPT, row_id)

    @app.get("/{name}")
    def newest(name: str, limit: int = 50) -> list[dict[str, Any]]:
        query = {"generate": JOB, "audio": SAMPLE, "prompts": PROMPT}[name]
        return rows(f"{query} ORDER BY id DESC LIMIT :limit", limit=limit)

    return app


if __name__ == "__main__":
    port, url = sys.argv[1:]
    pool = create_engine(url, pool_size=40, max_overflow=0)
    uvicorn.run(bare_app(pool), port=int(port), log_level="warning", access_log=False)
