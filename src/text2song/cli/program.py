"""The name under which this program was started: advice that cannot be pasted helps nobody."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

_NAME: Final = "text2song"


def as_started(text: str) -> str:
    """`text`, its commands in backticks named as the person can type them.

    After `make studio` the program is `.venv/bin/text2song`, and `text2song` alone is not found.
    """
    typed = Path(sys.argv[0])
    if typed.name != _NAME or shutil.which(_NAME) is not None:
        return text
    return text.replace(f"`{_NAME} ", f"`{shlex.quote(str(typed))} ")
