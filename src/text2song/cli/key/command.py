"""`text2song key`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering
from text2song.cli.plain_help import PlainCommand, PlainGroup

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="The keys with which people log in.")

Owner = Annotated[str, typer.Argument(help="Whose it will be.", metavar="NAME")]
Whose = Annotated[str | None, typer.Argument(help="Whose keys; everybody's where left out.", metavar="NAME")]
Label = Annotated[
    str, typer.Option("--for", help="What it is for, so that one knows which to revoke.", metavar="WORDS")
]
Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        help="What it is good for: read, rate, create or admin; give it again for another. All that its "
        "owner may do where left out.",
        metavar="SCOPE",
    ),
]
Days = Annotated[
    int | None,
    typer.Option(help="Days until it expires; never where left out.", metavar="NUMBER", min=1, max=36_500),
]
Which = Annotated[
    str, typer.Argument(help="The key's id, or its first letters as `key list` shows them.", metavar="KEY")
]


@app.callback()
def key() -> None:
    """The keys with which people log in."""


@app.command(cls=PlainCommand)
def add(
    name: Owner, *, label: Label = "key", scope: Scopes = None, days: Days = None, json: JsonFlag = False
) -> None:
    """Make a key and print it. It is told this once: only its digest is kept."""
    with answering(is_json=json) as answer:
        from text2song.cli.key import keeping  # noqa: PLC0415  # help must not wait for the server's packages

        keeping.add(answer, owner=name, label=label, scopes=scope, days=days)


@app.command("list", cls=PlainCommand)
def list_keys(name: Whose = None, *, json: JsonFlag = False) -> None:
    """List keys with what they are for, when they were last used, and when they end."""
    with answering(is_json=json) as answer:
        from text2song.cli.key import keeping  # noqa: PLC0415  # as above

        keeping.list_keys(answer, owner=name)


@app.command(cls=PlainCommand)
def revoke(key: Which, *, json: JsonFlag = False) -> None:
    """End a key at once, and with it the browser sessions that it began."""
    with answering(is_json=json) as answer:
        from text2song.cli.key import keeping  # noqa: PLC0415  # as above

        keeping.revoke(answer, which=key)
