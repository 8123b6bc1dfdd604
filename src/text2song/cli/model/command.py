"""`text2song model`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.plain_help import PlainCommand, PlainGroup

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="The models on this machine.")

Source = Annotated[
    str,
    typer.Argument(
        help="An id of the Hugging Face hub, such as facebook/musicgen-small, or a folder on this machine.",
        metavar="ID_OR_FOLDER",
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(help="A branch, tag or commit of the hub; the newest where left out.", metavar="NAME"),
]
Yes = Annotated[bool, typer.Option("--yes", help="Agree to size and licence without being asked.")]


@app.callback()
def model() -> None:
    """The models on this machine."""


@app.command(cls=PlainCommand)
def add(source: Source, *, revision: Revision = None, yes: Yes = False, json: JsonFlag = False) -> None:
    """Bring a model to this machine: show its size and licence, ask, and fetch it.

    What was interrupted goes on where it stopped. Weights that are published only as pickles are
    converted once, in a process of their own.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.model import stocking  # noqa: PLC0415  # help must not wait for the hub's packages

        stocking.add(source, answer=answer, revision=revision, is_agreed=yes)


@app.command("list", cls=PlainCommand)
def list_models(*, json: JsonFlag = False) -> None:
    """List the models on this machine, which one is served, and what words a small one understands."""
    with answering(is_json=json) as answer:
        from text2song.cli.model import listing  # noqa: PLC0415  # help must not wait for the settings' packages

        listing.list_models(answer)
