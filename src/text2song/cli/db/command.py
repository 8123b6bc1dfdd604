"""`text2song db`."""

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.plain_help import PlainCommand, PlainGroup

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="The database.")


@app.callback()
def db() -> None:
    """The database."""


@app.command(cls=PlainCommand)
def upgrade(*, json: JsonFlag = False) -> None:
    """Bring the database to the schema that this version needs.

    `serve`, `worker` and `generate` do it by themselves. A copy of the database is kept first.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.db import upgrading  # noqa: PLC0415  # help must not wait for the server's packages

        upgrading.upgrade(answer)
