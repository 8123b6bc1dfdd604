"""One way to write logs, for the server, the worker and the command line alike.

Every line is an event with named values: one JSON object a line for machines, aligned colours for a
person at a terminal. What the libraries log goes the same way. Tracebacks never show local
variables: those hold prompts and keys. What looks like a key is blotted out of every line, wherever it
came from: somebody will paste one into an address.
"""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import Processor

from text2song.errors import InvalidSetting
from text2song.names import HIDDEN_KEY, KEY_SHAPE

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_KEY = re.compile(KEY_SHAPE)
_CHATTY = {
    "uvicorn.access": logging.CRITICAL + 1,
    "httpx2": logging.WARNING,
    "celery": logging.ERROR,
    "kombu": logging.ERROR,
}
"""uvicorn's access log would repeat each request, with its query, beside our own line; Celery tells of each
bell and of each attempt to reach a server, of which `jobs/outage.py` tells once."""


def configure_logging(*, json: bool, level: str) -> None:
    """Send the logs of this process to standard error; call it once, before anything else logs.

    uvicorn must be started with `log_config=None`, or it puts its own handlers back.

    Raises:
        InvalidSetting: `level` is no level.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise InvalidSetting(
            f"TEXT2SONG_LOG_LEVEL is {level!r}, which is no log level: use debug, info, warning or error.",
            field="TEXT2SONG_LOG_LEVEL",
        )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(json=json))
    logging.basicConfig(handlers=[handler], level=levels[level.upper()], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name, quietest in _CHATTY.items():
        logging.getLogger(name).setLevel(quietest)


def _formatter(*, json: bool) -> logging.Formatter:
    if json:
        rendering: list[Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        rendering = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering, _blot_keys],
    )


def _blot_keys(_logger: object, _method: str, line: Any) -> str:  # noqa: ANN401  # a processor's type is a dict
    """The last step, over the whole line that the renderer has made."""
    return _KEY.sub(HIDDEN_KEY, line)
