"""`text2song backup`."""

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


def backup(
    to: BackupTo, *, keep: KeepOption = None, verify: VerifyFlag = False, json: JsonFlag = False
) -> None:
    """Back the studio up into a folder, also while it runs: all rows, and the bytes that they name.

    The same folder again gets another snapshot and only the bytes that are new. Models and settings are
    not in it.
    """
    with answering(is_json=json) as answer:
        from text2song.cli.backup import backing_up  # noqa: PLC0415  # help must not wait for the packages

        if verify:
            backing_up.verify(answer, to)
        else:
            backing_up.back_up(answer, to, keep=keep)
