"""What `serve` does: one process with the API and a worker."""

import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import uvicorn

from text2song.api.health import ReadyCheck
from text2song.api.main import build_api
from text2song.cli.answer import Answer
from text2song.cli.opening import opened_queue, opened_studio, settings_for
from text2song.cli.serve.connection import Connection
from text2song.cli.serve.listener import is_public, open_listener, url_of
from text2song.cli.worker.background import BackgroundWorker
from text2song.cli.worker.notices import (
    NO_WORKER_HERE,
    STOPPING,
    STOPPING_ALONE,
    served_model,
    tell_of_loading,
    tell_of_model,
)
from text2song.cli.worker.signals import StopSignals
from text2song.errors import LoginNotSetUp
from text2song.jobs.open import is_in_process
from text2song.settings import Settings
from text2song.studio import Studio
from text2song.users import authentication

EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # not bound here, but left out of the names
OPEN_WIRE: Final = (
    "Other machines reach this server, and what they send is not encrypted, keys included: put a proxy with "
    "TLS in front of it wherever you do not trust the network (docs/how-to/team.md)."
)
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
        settings = _answering_as(settings, listener, host=host)
        if not is_in_process(settings.queue_url):
            _run_alone(settings, listener, answer=answer, stop=stop)
            return
        worker = _run(settings, listener, answer=answer, stop=stop)
    worker.end()


def _answering_as(settings: Settings, listener: socket.socket, *, host: str) -> Settings:
    """The settings with `host`, if it is a name, and that of the address which is told, among its names."""
    told = urlsplit(url_of(listener)).hostname or host
    names = dict.fromkeys((*settings.allowed_hosts, host, told))
    allowed = tuple(name for name in names if name not in EVERY_ADDRESS)
    return settings.model_copy(update={"allowed_hosts": allowed})


def _run(
    settings: Settings, listener: socket.socket, *, answer: Answer, stop: StopSignals
) -> BackgroundWorker:
    with (
        opened_queue(settings) as queue,
        opened_studio(settings, answer=answer, queue=queue) as studio,
    ):
        _mind_the_public(studio, listener, answer=answer)
        worker = BackgroundWorker(studio, queue)

        def is_stopping() -> bool:
            return server.should_exit or stop.asked.is_set()

        app = build_api(
            studio,
            is_public=is_public(listener),
            ready_checks=[ReadyCheck("worker", worker.require_ready)],
            is_stopping=is_stopping,
        )

        def take_leave() -> None:
            if worker.failure is None:
                answer.notice(STOPPING)

        server = _Server(_options(app), stop=stop, when_stopping=take_leave)
        url = url_of(listener)

        def leave() -> None:
            server.should_exit = True

        tell_of_loading(settings, answer=answer)
        worker.start(
            when_ready=lambda: _welcome(settings, url=url, answer=answer),
            when_failed=leave,
            is_stopping=is_stopping,
        )
        server.run(sockets=[listener])
        worker.stop()
    return worker


def _run_alone(settings: Settings, listener: socket.socket, *, answer: Answer, stop: StopSignals) -> None:
    """Serve the API of workers elsewhere; needs no torch."""
    with (
        opened_queue(settings) as queue,
        opened_studio(settings, answer=answer, queue=queue) as studio,
    ):
        _mind_the_public(studio, listener, answer=answer)
        app = build_api(
            studio,
            is_public=is_public(listener),
            is_stopping=lambda: server.should_exit or stop.asked.is_set(),
        )

        def welcome() -> None:
            answer.notice(NO_WORKER_HERE)
            url = url_of(listener)
            document = {"url": url, "model": None, "notice": NO_WORKER_HERE}
            answer.give(document, text=f"Text2Song Studio is ready: {url}")

        server = _Server(
            _options(app),
            stop=stop,
            when_started=welcome,
            when_stopping=lambda: answer.notice(STOPPING_ALONE),
        )
        server.run(sockets=[listener])


def _mind_the_public(studio: Studio, listener: socket.socket, *, answer: Answer) -> None:
    """Serve other machines only once somebody can log in, and say that the wire is open."""
    if is_public(listener):
        require_users(studio, listener)
        answer.notice(OPEN_WIRE)


def require_users(studio: Studio, listener: socket.socket) -> None:
    """Check that somebody could log in, before others can reach the studio.

    Raises:
        LoginNotSetUp: nobody could.
    """
    with studio.read() as reader:
        if authentication.has_users(reader):
            return
    host, port = listener.getsockname()[:2]
    raise LoginNotSetUp(
        f"{host} can be reached from other machines, and nobody could log in: make the first user with "
        "`text2song user add NAME --admin`. Or serve on 127.0.0.1, and reach it from elsewhere by "
        f"`ssh -L {port}:127.0.0.1:{port} THIS-MACHINE`.",
        field="host",
    )


class _Server(uvicorn.Server):
    """Hears signals itself while it runs, and minds those that came before."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        stop: StopSignals,
        when_stopping: Callable[[], None],
        when_started: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self._when_started = when_started
        self._when_stopping = when_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """The signal handlers are uvicorn's by now: whatever is not in `asked` goes to `should_exit`."""
        await super().startup(sockets)
        if self._stop.asked.is_set():
            self.should_exit = True
        elif not self.should_exit:
            self._when_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Not said by the signal's handler: that may have interrupted a line that is being written."""
        self._when_stopping()
        await super().shutdown(sockets)


def _options(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's type of an application is narrower than FastAPI's own
        http=Connection,
        log_config=None,
        access_log=False,  # api/request_log.py writes one line for each request
        proxy_headers=False,  # api/protections.py refuses what a proxy passed on
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _welcome(settings: Settings, *, url: str, answer: Answer) -> None:
    manifest = served_model(settings)
    notice = tell_of_model(manifest, answer=answer)
    document = {"url": url, "model": manifest.id, "notice": notice}
    answer.give(document, text=f"Text2Song Studio is ready: {url}")
