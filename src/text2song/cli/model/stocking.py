"""What `model add` does."""

import sys
from pathlib import Path
from typing import Final

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from text2song.byte_sizes import size_words
from text2song.cli.answer import Answer, Interrupted
from text2song.cli.model.licences import licence_sentence
from text2song.cli.opening import settings_for
from text2song.errors import InvalidInput
from text2song.model.adopt import FolderPlan, adopt, plan_folder
from text2song.model.download import DownloadPlan, OnProgress, fetch, plan
from text2song.model.manifest import Manifest
from text2song.settings import Settings

TOLD_STEPS: Final = 10
"""Lines of progress where there is no terminal."""


def add(source: str, *, answer: Answer, revision: str | None, is_agreed: bool) -> None:
    """Bring a model into the library, once the person has agreed to its size and licence.

    Raises:
        InvalidInput: `source` is neither an id nor a folder, is gated, or nobody can be asked.
        NotFound: the hub has no such model or revision.
        DownloadFailed, StorageFull, ModelError: as the model layer says.
        Interrupted: on Ctrl-C; what has come stays.
    """
    settings = settings_for(answer, is_service=False)
    folder = _folder_in(source, revision=revision)
    wanted = plan(source, revision=revision) if folder is None else plan_folder(folder)
    answer.notice(_offer(wanted))
    if not is_agreed:
        _ask()
    try:
        target = _bring(wanted, settings, answer=answer)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted: what has come stays, and the same command goes on from there."
        ) from error
    manifest = Manifest.read(target)
    document = {**manifest.as_json(), "folder": str(target)}
    answer.give(document, text=f"Added. Serve it with `TEXT2SONG_MODEL={manifest.id} make studio`.")


def _folder_in(source: str, *, revision: str | None) -> Path | None:
    """The folder that `source` names; None for an id of the hub.

    Raises:
        InvalidInput: a folder was given together with a revision.
    """
    path = Path(source).expanduser()
    is_path = path.is_absolute() or source.startswith(".") or path.is_dir()
    if is_path and revision is not None:
        raise InvalidInput("a folder has no revisions: leave out --revision.", field="--revision")
    return path.absolute() if is_path else None


def _offer(wanted: DownloadPlan | FolderPlan) -> str:
    lines = [f"{wanted.id}, revision {wanted.revision}"]
    lines += [f"  {size_words(file.size_bytes):>9}  {file.name}" for file in wanted.files]
    lines.append(f"  {size_words(wanted.size_bytes):>9}  together")
    if wanted.needs_conversion:
        lines.append(
            "Its weights are pickles; they are converted to safetensors, apart from everything else."
        )
    lines.append(licence_sentence(wanted.license))
    return "\n".join(lines)


def _ask() -> None:
    if not _is_somebody_there():
        raise InvalidInput(
            "there is no terminal to ask at: say --yes to agree to this size and licence.", field="--yes"
        )
    if not typer.confirm("Fetch it?", err=True):
        raise InvalidInput("not agreed to, so nothing was fetched.", field="--yes")


def _is_somebody_there() -> bool:
    return sys.stdin.isatty()


def _bring(wanted: DownloadPlan | FolderPlan, settings: Settings, *, answer: Answer) -> Path:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=answer.console, disable=not answer.console.is_terminal) as bar:
        task = bar.add_task(wanted.id, total=wanted.size_bytes)
        tell = _teller(answer)

        def show(here_bytes: int, total_bytes: int) -> None:
            bar.update(task, completed=here_bytes, total=total_bytes)
            tell(here_bytes, total_bytes)

        if isinstance(wanted, FolderPlan):
            return adopt(wanted, settings.models_folder, on_progress=show)
        return fetch(wanted, settings.models_folder, on_progress=show)


def _teller(answer: Answer) -> OnProgress:
    """Says every tenth in a line, where no bar can be drawn."""
    told = 0

    def tell(here_bytes: int, total_bytes: int) -> None:
        nonlocal told
        step = here_bytes * TOLD_STEPS // max(1, total_bytes)
        if step > told and not answer.console.is_terminal:
            answer.notice(f"{size_words(here_bytes)} of {size_words(total_bytes)}")
        told = max(told, step)

    return tell
