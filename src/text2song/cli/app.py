"""The command tree, and how a run of it ends."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from typer.main import get_command

from text2song import __version__
from text2song.cli.answer import Answer
from text2song.cli.backup.command import backup
from text2song.cli.blobs import command as blobs
from text2song.cli.clean.command import clean
from text2song.cli.db import command as db
from text2song.cli.doctor.command import doctor
from text2song.cli.exits import MEANINGS, ExitCode
from text2song.cli.generate.command import generate
from text2song.cli.key import command as key
from text2song.cli.model import command as model
from text2song.cli.plain_help import PlainCommand, PlainGroup
from text2song.cli.restore.command import restore
from text2song.cli.serve.command import serve
from text2song.cli.user import command as user
from text2song.cli.worker.command import worker
from text2song.errors import InvalidInput

EPILOG: Final = (
    "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."
)

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog=EPILOG,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback(invoke_without_command=True)
def text2song(
    *,
    version: Annotated[bool, typer.Option("--version", help="Say which version this is, and end.")] = False,
) -> None:
    """Text2Song Studio: music from words, on your own machine."""
    if version:
        typer.echo(f"text2song {__version__}")
        raise typer.Exit


for command in (serve, generate, worker, doctor, backup, restore, clean):
    app.command(cls=PlainCommand)(command)
app.add_typer(model.app, name="model")
app.add_typer(db.app, name="db")
app.add_typer(blobs.app, name="blobs")
app.add_typer(user.app, name="user")
app.add_typer(key.app, name="key")


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answers its exit code."""
    is_json = "--json" in arguments
    try:
        code = get_command(app).main(list(arguments), prog_name="text2song", standalone_mode=not is_json)
    except typer.TyperException as error:  # Typer leaves it to us only where it must not print it itself
        message = f"{error.format_message()} `text2song --help` lists what there is."
        Answer(is_json=True).fail(code=InvalidInput.code, message=message)
        return ExitCode.INVALID
    return code if isinstance(code, int) else ExitCode.OK
