"""`text2song clean`."""

from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering

DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Only say what would go; change nothing.")]


def clean(*, dry_run: DryRunFlag = False, json: JsonFlag = False) -> None:
    """Delete what the settings say is kept no longer, and files that no row names any more.

    A worker does the same every hour. Nothing that something else was built on goes, and files go an hour
    after the last row that named them.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.clean import cleaning  # noqa: PLC0415  # help must not wait for the packages

        cleaning.tidy(answer, is_dry_run=dry_run)
