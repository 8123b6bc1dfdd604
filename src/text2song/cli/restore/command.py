"""`text2song restore`."""

from pathlib import Path
from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering

RestoreFrom = Annotated[Path, typer.Argument(help="Folder of the backup.", metavar="FROM")]
SnapshotOption = Annotated[
    str | None, typer.Option("--snapshot", help="Which snapshot. Unset: the newest.", metavar="NAME")
]
ReplaceFlag = Annotated[
    bool, typer.Option("--replace", help="Replace a studio that is not empty; a backup of it is made first.")
]
AsideOption = Annotated[
    Path | None,
    typer.Option(
        "--aside",
        help="Folder for the backup of what is replaced. Unset: one in `backups` of the home folder.",
        metavar="FOLDER",
    ),
]


def restore(
    source: RestoreFrom,
    *,
    snapshot: SnapshotOption = None,
    replace: ReplaceFlag = False,
    aside: AsideOption = None,
    json: JsonFlag = False,
) -> None:
    """Put a studio back from a backup, into the database and the storage that the settings name.

    Everything is checked before anything is touched. Jobs that were running then wait again.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.restore import putting_back  # noqa: PLC0415  # help must not wait for the packages

        putting_back.put_back(answer, source, name=snapshot, replaces=replace, aside=aside)
