"""`text2song user`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.plain_help import PlainCommand, PlainGroup

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="The people who may log in.")

Name = Annotated[str, typer.Argument(help="The person's name.", metavar="NAME")]
RoleOption = Annotated[
    str | None, typer.Option(help="admin, creator or rater; creator where left out.", metavar="ROLE")
]
NewRole = Annotated[str | None, typer.Option(help="admin, creator or rater.", metavar="ROLE")]
Admin = Annotated[bool, typer.Option("--admin", help="Short for --role admin.")]
Expert = Annotated[bool, typer.Option("--expert", help="Their feedback counts as an expert's.")]
Expertise = Annotated[
    bool | None, typer.Option("--expert/--no-expert", help="Whether their feedback counts as an expert's.")
]
Queued = Annotated[
    str | None, typer.Option(help="Jobs that may wait at once, or `default`.", metavar="NUMBER")
]
Minutes = Annotated[
    str | None, typer.Option(help="Minutes of audio in 24 hours, or `default`.", metavar="NUMBER")
]
Bytes = Annotated[
    str | None, typer.Option(help="Bytes of audio that are kept, or `default`.", metavar="NUMBER")
]


@app.callback()
def user() -> None:
    """The people who may log in."""


@app.command(cls=PlainCommand)
def add(
    name: Name,
    *,
    role: RoleOption = None,
    admin: Admin = False,
    expert: Expert = False,
    json: JsonFlag = False,
) -> None:
    """Add a person, and print a key for them. The key is told this once."""
    with answering(is_json=json) as answer:
        from text2song.cli.user import people  # noqa: PLC0415  # help must not wait for the server's packages

        people.add(answer, name=name, role=role, is_admin=admin, is_expert=expert)


@app.command("list", cls=PlainCommand)
def list_people(*, json: JsonFlag = False) -> None:
    """List everybody, also those who were deactivated."""
    with answering(is_json=json) as answer:
        from text2song.cli.user import people  # noqa: PLC0415  # as above

        people.list_people(answer)


@app.command("set", cls=PlainCommand)
def change(
    name: Name,
    *,
    role: NewRole = None,
    expert: Expertise = None,
    max_queued_jobs: Queued = None,
    max_minutes_a_day: Minutes = None,
    max_storage_bytes: Bytes = None,
    json: JsonFlag = False,
) -> None:
    """Change somebody's role, expertise or shares; what is left out stays. It holds at once."""
    with answering(is_json=json) as answer:
        from text2song.cli.user import people  # noqa: PLC0415  # as above

        shares = {
            "max_queued_jobs": max_queued_jobs,
            "max_minutes_a_day": max_minutes_a_day,
            "max_storage_bytes": max_storage_bytes,
        }
        people.change(answer, name=name, role=role, is_expert=expert, shares=shares)


@app.command(cls=PlainCommand)
def deactivate(name: Name, *, json: JsonFlag = False) -> None:
    """Shut somebody out: all their keys and sessions end at once. What they made stays."""
    with answering(is_json=json) as answer:
        from text2song.cli.user import people  # noqa: PLC0415  # as above

        people.set_active(answer, name=name, is_active=False)


@app.command(cls=PlainCommand)
def activate(name: Name, *, json: JsonFlag = False) -> None:
    """Let somebody in again who was deactivated. They need a new key."""
    with answering(is_json=json) as answer:
        from text2song.cli.user import people  # noqa: PLC0415  # as above

        people.set_active(answer, name=name, is_active=True)
