"""The peer: what FastAPI alone needs to answer the same JSON, and to send the same file."""

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse


def bare_app(answer: dict[str, Any], sound: Path) -> FastAPI:
    """Two endpoints with no database, no checks and no middleware."""
    app = FastAPI()

    @app.get("/job")
    def job() -> dict[str, Any]:
        return answer

    @app.get("/sound")
    def stream() -> FileResponse:
        return FileResponse(sound)

    return app


if __name__ == "__main__":
    port, answer_path, sound_path = sys.argv[1:]
    app = bare_app(json.loads(Path(answer_path).read_text()), Path(sound_path))
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False)
