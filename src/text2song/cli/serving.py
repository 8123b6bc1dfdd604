"""What `serve` does: one process with the API, the page and a worker."""

import os
import socket
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Final
from uuid import UUID

import uvicorn

from text2song.api.health import ReadyCheck
from text2song.api.main import build_api
from text2song.cli.answer import Answer
from text2song.cli.background import BackgroundWorker
from text2song.cli.listener import open_listener, url_of
from text2song.cli.notices import notice_for, served_model
from text2song.cli.opening import opened_studio, settings_for, thread_queue
from text2song.cli.signals import StopSignals
from text2song.generation import queries as generations
from text2song.jobs.watch import Watcher
from text2song.settings import Settings
from text2song.studio import Studio

SHUTDOWN_SECONDS: Final = 3
"""How long open requests may take to end; what still streams then is cut off, and asks again later."""


def serve(answer: Answer, *, host: str, port: int) -> None:
    """Serve until a signal, or until the model turns out not to load.

    Raises:
        InvalidInput, PortInUse: for a place where it cannot serve.
        SetupError, ModelError: when the studio cannot be opened, or its model not be loaded.
    """
    settings = settings_for(answer, is_service=True)
    with StopSignals() as stop, open_listener(host, port=port) as listener:
        settings = _answering_as(settings, host=host)
        worker = _run(settings, listener, answer=answer, stop=stop)
    if worker.failure is not None:
        raise worker.failure
    if worker.is_loading:
        # Ending the interpreter under a thread that is inside torch can crash it; all else is in order.
        sys.stdout.flush()
        os._exit(0)


def _answering_as(settings: Settings, *, host: str) -> Settings:
    """The settings with `host` among the names that the server answers to."""
    if host in settings.allowed_hosts:
        return settings
    return settings.model_copy(update={"allowed_hosts": (*settings.allowed_hosts, host)})


def _run(
    settings: Settings, listener: socket.socket, *, answer: Answer, stop: StopSignals
) -> BackgroundWorker:
    queue = thread_queue(settings)
    with opened_studio(settings, answer=answer, queue=queue) as studio:
        worker = BackgroundWorker(studio, queue)
        app = build_api(studio, ready_checks=[ReadyCheck("worker", worker.require_ready)])
        server = uvicorn.Server(_options(app))
        app.state.generation_watcher = _watcher(studio, is_stopping=lambda: server.should_exit)
        url = url_of(listener)

        def welcome() -> None:
            if not server.should_exit:
                _welcome(settings, url=url, answer=answer)

        def leave() -> None:
            server.should_exit = True

        worker.start(when_ready=welcome, when_failed=leave)
        if not stop.asked.is_set():
            server.run(sockets=[listener])
        worker.stop()
    return worker


def _watcher(studio: Studio, *, is_stopping: Callable[[], bool]) -> Watcher:
    """The API's own watcher, but one that lets go of everybody who waits when the server stops.

    Otherwise every open page would hold the stop up until its long poll is cut off.
    """

    def sequences(job_ids: Collection[UUID]) -> Mapping[UUID, tuple[int, bool]]:
        if is_stopping():
            return {}  # a job that is not there ends the wait for it
        with studio.read() as reader:
            return generations.sequences(reader, job_ids)

    return Watcher(sequences)


def _options(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's type of an application is narrower than FastAPI's own
        log_config=None,
        access_log=False,  # api/request_log.py writes one line for each request
        proxy_headers=False,  # api/protections.py refuses what a proxy passed on
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _welcome(settings: Settings, *, url: str, answer: Answer) -> None:
    manifest = served_model(settings)
    notice = notice_for(manifest)
    if notice is not None:
        answer.notice(notice)
    document = {"url": url, "model": manifest.id, "notice": notice}
    answer.give(document, text=f"Text2Song Studio is ready: {url}")
