"""How every command that needs the studio opens it: settings, logs, database, bytes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from text2song.cli.answer import Answer
from text2song.db import schema
from text2song.jobs.open import open_queue
from text2song.jobs.queue import SilentQueue
from text2song.jobs.threads import ThreadQueue
from text2song.logs import configure_logging
from text2song.settings import Settings, load_settings
from text2song.studio import Studio, open_studio

log = structlog.get_logger(__name__)

QUIET_LEVEL: Final = "WARNING"
"""Of a command that a person watches: its progress and its answer are enough."""
_CHATTY: Final = ("alembic", "uvicorn.error")
"""They tell of every step; the commands say what matters of it themselves."""


def settings_for(answer: Answer, *, is_service: bool) -> Settings:
    """The settings, with the logs of this process set up after them.

    The notices of a service whose logs are JSON go there too: each line of its standard error is one object.

    Raises:
        InvalidSetting: for a setting that cannot be.
    """
    settings = load_settings()
    is_asked_for = "log_level" in settings.model_fields_set
    level = settings.log_level if is_service or is_asked_for else QUIET_LEVEL
    is_json = not answer.console.is_terminal if settings.log_json is None else settings.log_json
    configure_logging(json=is_json, level=level)
    if is_service and is_json:
        answer.hand_notices_to(log.info)
    if level != "DEBUG":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
    return settings


@contextmanager
def opened_studio(
    settings: Settings, *, answer: Answer, queue: ThreadQueue | None = None
) -> Iterator[Studio]:
    """The studio, its database brought to this version's schema; without a queue, for reading alone.

    Raises:
        SchemaTooNew: when a newer version made the database.
        InvalidSetting, StorageFailed, StorageFull: when it cannot be opened.
    """
    studio = open_studio(settings, queue=queue or SilentQueue())
    try:
        upgraded = upgrade(studio)
        if upgraded.backup is not None:
            answer.notice(
                f"The database was brought to this version; the one before is kept at {upgraded.backup}."
            )
        yield studio
    finally:
        studio.engine.dispose()


def upgrade(studio: Studio) -> schema.Upgrade:
    """Bring the database to this version's schema, with a copy of it first."""
    return schema.upgrade(studio.engine, backups=studio.settings.home / "backups", now=studio.clock())


def thread_queue(settings: Settings) -> ThreadQueue:
    """The queue that a worker in this process listens to."""
    return open_queue(settings.queue_url)
