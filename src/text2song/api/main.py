"""The API of one studio: the edge of `app.py` with every feature's router, over one composition root."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from fastapi import FastAPI

import text2song
from text2song.api.app import ApiOptions, create_app
from text2song.api.health import ReadyCheck
from text2song.api.limits import Limits, open_counts
from text2song.api.login import Login
from text2song.api.metrics.studio import StudioNumbers
from text2song.api.provider import open_provider
from text2song.api.provider_session import router as provider_session
from text2song.api.session import router as session
from text2song.audio.endpoints import router as audio
from text2song.db.writable import require_writable
from text2song.errors import StudioError, Unavailable
from text2song.generation import queries as generations
from text2song.generation.endpoints import prompts_router, samples_router
from text2song.generation.endpoints import router as generate
from text2song.jobs.broker_reach import require_reachable
from text2song.jobs.open import is_in_process
from text2song.jobs.watch import Watcher
from text2song.models import queries as model_queries
from text2song.models.endpoints import router as models
from text2song.prompts.endpoints import router as prompts
from text2song.settings import Settings
from text2song.studio import Studio
from text2song.users import authentication
from text2song.users.endpoints import audit_router, keys_router, users_router

log = structlog.get_logger(__name__)

PEOPLE: Final = (session, provider_session, users_router, keys_router, audit_router)
ROUTERS: Final = (prompts, prompts_router, generate, audio, samples_router, models, *PEOPLE)
SITE_FOLDER: Final = Path(text2song.__file__).parent / "site"
"""The built web studio, where the package carries one."""

KEEP_SECONDS: Final = 3.0
"""How long it is believed that the storages can be written: whoever polls costs them nothing."""


def build_api(
    studio: Studio,
    *,
    is_public: bool = False,
    ready_checks: Sequence[ReadyCheck] = (),
    is_stopping: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """The application that a server runs; `ready_checks` are the entrypoint's own.

    Where it `is_public`, everybody has to log in; else only where there are several people.

    Once `is_stopping`, everybody who waits for a job is let go: otherwise every open page would hold
    the stop up until its long poll is cut off.
    """
    settings = studio.settings
    app = create_app(
        ApiOptions(
            allowed_hosts=settings.allowed_hosts,
            has_users=lambda: _has_users(studio),
            web_origins=settings.web_origin,
            max_body_bytes=settings.max_body_bytes,
            metrics_token=settings.metrics_token,
            site_folder=SITE_FOLDER if SITE_FOLDER.is_dir() else None,
            media_origin=studio.blobs.link_origin,
        ),
        routers=ROUTERS,
        ready_checks=(
            ReadyCheck("database", lambda: require_writable(studio.engine), keep_seconds=KEEP_SECONDS),
            ReadyCheck("blobs", studio.blobs.require_writable, keep_seconds=KEEP_SECONDS),
            *_queue_check(settings),
            *ready_checks,
        ),
        notices=lambda: _notices(studio),
        studio_numbers=StudioNumbers(studio),
    )

    def sequences(job_ids: Collection[UUID]) -> Mapping[UUID, int]:
        if is_stopping():
            return {}  # a job that is not there ends the wait for it
        with studio.read() as reader:
            return generations.sequences(reader, job_ids)

    app.state.studio = studio
    counts = open_counts(settings.queue_url)
    limits = Limits(counts, clock=studio.clock, requests_a_minute=settings.rate_limit)
    app.state.login = Login(studio, limits, is_public=is_public)
    app.state.provider = open_provider(settings, clock=studio.clock)
    app.state.identify = app.state.login.identify
    app.state.is_stopping = is_stopping
    app.state.generation_watcher = Watcher(sequences)
    return app


def _queue_check(settings: Settings) -> Iterator[ReadyCheck]:
    """Bells alone: without them, jobs are accepted as ever and begun a little later."""
    if not is_in_process(settings.queue_url):
        yield ReadyCheck(
            "queue",
            lambda: _require_queue(settings.queue_url),
            keep_seconds=KEEP_SECONDS,
            is_needed=False,
        )


def _require_queue(url: str) -> None:
    """Whoever asks may be a stranger: the server's address goes to the log alone.

    Raises:
        Unavailable: the server gave no sign of life.
    """
    try:
        require_reachable(url)
    except Unavailable as error:
        log.warning("the queue's server cannot be used", error=error.message)
        raise Unavailable(
            "its server cannot be used. Until it can, workers find new work some seconds later; the studio's "
            "log says more."
        ) from error


def _has_users(studio: Studio) -> bool:
    with studio.read() as reader:
        return authentication.has_users(reader)


def _notices(studio: Studio) -> list[str]:
    """None where the database does not answer: the documentation is needed then, too."""
    try:
        with studio.read() as reader:
            return model_queries.notices(reader)
    except StudioError as error:
        log.warning("no notices for the documentation", code=error.code)
        return []
