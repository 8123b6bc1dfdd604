"""How every command that needs the studio opens it: settings, logs, database, bytes."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from types import MappingProxyType
from typing import Final

import structlog

from text2song.cli.answer import Answer
from text2song.db import schema
from text2song.jobs.hosting import WorkerQueue
from text2song.jobs.open import is_in_process, open_queue
from text2song.jobs.queue import JobQueue, SilentQueue
from text2song.jobs.threads import ThreadQueue
from text2song.logs import configure_logging
from text2song.settings import PREFIX, Settings, load_settings
from text2song.studio import Studio, open_studio

log = structlog.get_logger(__name__)

QUIET_LEVEL: Final = "WARNING"
"""Of a command that a person watches: its progress and its answer are enough."""
_CHATTY: Final = ("alembic", "uvicorn.error")
"""They tell of every step; the commands say what matters of it themselves."""


def settings_for(
    answer: Answer, *, is_service: bool, options: Mapping[str, object] = MappingProxyType({})
) -> Settings:
    """The settings, with the logs of this process set up after them.

    `options` are settings that the command line gave, by their names; they come before the environment.
    The notices of a service whose logs are JSON go there too: each line of its standard error is one object.

    Raises:
        InvalidSetting: for a setting that cannot be.
    """
    given = {f"{PREFIX}{name.upper()}": str(value) for name, value in options.items() if value is not None}
    settings = load_settings({**os.environ, **given})
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
def opened_studio(settings: Settings, *, answer: Answer, queue: JobQueue | None = None) -> Iterator[Studio]:
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


@contextmanager
def opened_queue(settings: Settings) -> Iterator[WorkerQueue]:
    """The queue of this studio, which wakes workers in this process or elsewhere.

    Raises:
        InvalidSetting: for a URL of no known kind.
        MissingPart: when what it needs is not installed.
    """
    with closing(open_queue(settings.queue_url)) as queue:
        yield queue


def own_queue(settings: Settings) -> ThreadQueue:
    """The queue of a command that does its work itself, whatever wakes the other workers.

    Raises:
        InvalidSetting: as for the others, so that a wrong setting is noticed everywhere.
    """
    is_in_process(settings.queue_url)
    return ThreadQueue()
