"""`text2song db`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.plain_help import PlainCommand, PlainGroup

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="The database.")


From = Annotated[
    str, typer.Argument(help="Where the rows are, such as sqlite:////home/me/studio.db.", metavar="FROM")
]
To = Annotated[
    str, typer.Argument(help="An empty database; written like TEXT2SONG_DATABASE_URL.", metavar="TO")
]


@app.callback()
def db() -> None:
    """The database."""


@app.command(cls=PlainCommand)
def upgrade(*, json: JsonFlag = False) -> None:
    """Bring the database to the schema that this version needs.

    `serve`, `worker` and `generate` do it by themselves. A copy of a SQLite file is kept first; of a
    database on a PostgreSQL server, make one with `pg_dump`.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.db import upgrading  # noqa: PLC0415  # help must not wait for the server's packages

        upgrading.upgrade(answer)


@app.command(cls=PlainCommand)
def copy(source: From, target: To, *, json: JsonFlag = False) -> None:
    """Copy a studio's rows to another database: from SQLite to PostgreSQL, or back.

    Stop the studio first. All or nothing: the rows are compared in the new database before any of them
    stays there, and the old database is not changed. A password need not stand in the command: what
    ~/.pgpass or PGPASSWORD holds is used, too.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.db import copying  # noqa: PLC0415  # help must not wait for the server's packages

        copying.copy(answer, source_url=source, target_url=target)
