"""`text2song blobs`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.plain_help import PlainCommand, PlainGroup

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="The stored bytes: sound, outlines, codes.")

From = Annotated[
    str, typer.Argument(help="Where the bytes are, such as file:///srv/blobs.", metavar="FROM_URL")
]
To = Annotated[
    str, typer.Argument(help="Where they shall be; written like TEXT2SONG_BLOBS_URL.", metavar="TO_URL")
]
CheckAll = Annotated[
    bool, typer.Option("--check-all", help="Read what is there already, too, and replace what is damaged.")
]


@app.callback()
def blobs() -> None:
    """The stored bytes."""


@app.command(cls=PlainCommand)
def copy(source: From, target: To, *, check_all: CheckAll = False, json: JsonFlag = False) -> None:
    """Copy all stored bytes to another place, and compare each with its digest there.

    What is there already is passed over, so the command may be broken off and begun again, and run while
    the studio works: the last run, with the studio stopped, then has little to do. Nothing is deleted.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.blobs import copying  # noqa: PLC0415  # help must not wait for the server's packages

        copying.copy(answer, source_url=source, target_url=target, checks_all=check_all)
