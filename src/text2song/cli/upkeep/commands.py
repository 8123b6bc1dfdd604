"""`text2song backup` and `text2song restore`."""

from pathlib import Path
from typing import Annotated

import typer

from text2song.cli.answer import JsonFlag, answering

BackupTo = Annotated[
    Path, typer.Argument(help="Folder of the backup; new, empty, or that of an earlier one.", metavar="TO")
]
KeepOption = Annotated[
    int | None,
    typer.Option(
        "--keep", help="Snapshots that stay; older ones go. Unset: all stay.", min=1, metavar="NUMBER"
    ),
]
VerifyFlag = Annotated[
    bool, typer.Option("--verify", help="Make no backup: read the one in TO, and say whether it is whole.")
]
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


def backup(
    to: BackupTo, *, keep: KeepOption = None, verify: VerifyFlag = False, json: JsonFlag = False
) -> None:
    """Back the studio up into a folder, also while it runs: all rows, and the bytes that they name.

    The same folder again gets another snapshot and only the bytes that are new. Models and settings are
    not in it.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.upkeep import backing_up  # noqa: PLC0415  # help must not wait for the packages

        if verify:
            backing_up.verify(answer, to)
        else:
            backing_up.back_up(answer, to, keep=keep)


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
        from text2song.cli.upkeep import restoring  # noqa: PLC0415  # as above

        restoring.put_back(answer, source, name=snapshot, replaces=replace, aside=aside)
