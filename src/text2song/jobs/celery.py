"""The Celery queue: bells between many machines, in Redis or Valkey.

The message carries the kind of work and nothing that matters: it may be lost, doubled or late. So
nothing is acknowledged, redelivered or kept, and while Redis is out of reach the workers look for
work by themselves at every sweep.
"""

import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from celery import Celery

from text2song.jobs.broker_url import check_broker_url, shown
from text2song.jobs.hosting import STOP_SECONDS, Chore, Crew, survive
from text2song.jobs.listener import Listener
from text2song.jobs.outage import Outage
from text2song.jobs.ringer import Bell, Ringer
from text2song.jobs.runner import Runner

RING_SECONDS: Final = 1.0
"""How long one word with Redis may take for who rings."""
LISTEN_SECONDS: Final = 5.0
"""The same for a worker, and how soon it notices a connection that died in silence."""
PASSES_AT_MOST: Final = 8
"""How often one bell goes on to another worker, where the models that they serve differ."""


class CeleryQueue:
    """A doorbell in Redis. Makes no connection before it is rung or listened to."""

    def __init__(self, url: str) -> None:
        check_broker_url(url)
        self._url = url
        self._ringing = Outage("who rings", server=shown(url))
        self._hearing = Outage("who listens", server=shown(url))
        self._ringer = Ringer(build_app(url, patience_seconds=RING_SECONDS), self._ringing)
        self._listener: Listener | None = None
        self._crew = Crew()

    def ring(self, kind: str) -> None:
        """Wake a worker of this kind, wherever it is."""
        self._ringer.ring(Bell(kind))

    def start(self, runner: Runner, *, sweep_seconds: float, rounds: Iterable[Chore] = ()) -> None:
        """Listen and work in the background; the first sweep rings for what waited before."""
        app = build_app(self._url, patience_seconds=LISTEN_SECONDS)
        hear = partial(self._hear, runner)
        self._listener = Listener(app, runner.kinds, hear, outage=self._hearing)
        self._crew.spawn("bells", self._listener.run)
        self._crew.repeat("sweep", (runner.sweep, *rounds), every_seconds=sweep_seconds)
        look = partial(self._look, runner)
        self._crew.repeat("look without bells", (look,), every_seconds=sweep_seconds)

    def stop(
        self, runner: Runner, *, drain_seconds: float = 0.0, timeout_seconds: float = STOP_SECONDS
    ) -> None:
        """Claim no more, give what runs `drain_seconds` to end, hand the rest back, and end the threads."""
        self._crew.leave(runner)
        if self._listener is not None:
            self._listener.close()
        self._crew.end(runner, drain_seconds=drain_seconds, timeout_seconds=timeout_seconds)

    @property
    def is_alive(self) -> bool:
        """Whether every thread that was started still runs."""
        return self._crew.is_alive

    def close(self) -> None:
        """Send what was rung, and let go of the connection."""
        self._ringer.close()

    def _hear(self, runner: Runner, kind: str, passed_on: int) -> None:
        survive(partial(self._answer, runner, Bell(kind, passed_on)))

    def _answer(self, runner: Runner, bell: Bell) -> None:
        """Work, or let another worker hear of what is not for this one."""
        # One thread hears for all kinds: none may keep the others waiting for longer than a slice.
        is_done = bell.kind not in runner.kinds or runner.run(bell.kind, beside=runner.kinds)
        if not is_done and bell.passed_on < PASSES_AT_MOST and runner.is_work_waiting(bell.kind):
            self._ringer.ring(Bell(bell.kind, bell.passed_on + 1))

    def _look(self, runner: Runner) -> None:
        """Look for work where no bell can come."""
        if self._ringing.is_on or self._hearing.is_on:
            for kind in runner.kinds:
                survive(partial(runner.run, kind, beside=runner.kinds))


def build_app(url: str, *, patience_seconds: float) -> Celery:
    """Celery over this server; nothing is connected yet."""
    app = Celery("text2song", set_as_current=False, fixups=[])
    # Both by name: CELERY_BROKER_URL, perhaps another program's, would come before the one URL of Celery's.
    app.conf.update(broker_read_url=url, broker_write_url=url)
    app.conf.update(_configuration(patience_seconds=patience_seconds))
    if url.startswith("rediss:"):  # kombu alone would trust any certificate
        app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return app


def _configuration(*, patience_seconds: float) -> dict[str, Any]:
    return {
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": True,  # warns where it is not set
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            "ack_emulation": False,  # a bell is never redelivered: the sweep rings again
            "priority_steps": [0],
            "max_retries": 0,
            "socket_timeout": patience_seconds,
            "socket_connect_timeout": patience_seconds,
            "socket_keepalive": True,
            "health_check_interval": LISTEN_SECONDS,
        },
    }
