"""Writes the OpenAPI document that is checked in.

    python -m text2song.api.reference docs/reference

A test holds the file to what this would write: whoever changes the API sees the change in the diff.
"""

import sys
from pathlib import Path
from typing import Final

from text2song.api.app import ApiOptions, create_app
from text2song.api.main import ROUTERS
from text2song.api.openapi import openapi_document

FILE_NAME: Final = "openapi.json"


def document() -> str:
    """The text of the file; no studio is opened for it."""
    return openapi_document(create_app(ApiOptions(allowed_hosts=()), routers=ROUTERS))


def write(folder: Path) -> Path:
    """Write the file into `folder`, which is made where it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    path.write_text(document(), encoding="utf-8")
    return path


if __name__ == "__main__":
    write(Path(sys.argv[1]))
