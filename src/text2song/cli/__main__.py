"""`text2song`, also as `python -m text2song.cli`.

Needs the standard library alone until it knows that the rest is there: a person who installed
only the model layer gets a sentence instead of a traceback.
"""

import sys
from typing import Final

from text2song.names import INSTALLING

INSTALL_HINT: Final = (
    "the command line needs the package {name}, which is not installed: "
    f"{INSTALLING.format(extra='studio')}, or with [server] on a machine without a model."
)
SETUP_EXIT: Final = 3
"""The code of a set-up problem; `exits.py`, which says so too, may not be there to ask."""


def main() -> None:
    """Run the command that the arguments name."""
    try:
        from text2song.cli.app import run  # noqa: PLC0415  # what it needs may not be installed
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("text2song"):
            raise
        sys.stderr.write(f"Error: {INSTALL_HINT.format(name=error.name.partition('.')[0])}\n")
        sys.exit(SETUP_EXIT)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
