"""Following a job to its end: one loop for a studio in this process and for one behind a URL."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.text import Text

from text2song.cli.generate.access import StudioAccess
from text2song.errors import Unavailable
from text2song.generation.schemas import JobOut
from text2song.jobs.columns import FINAL

WAIT_SECONDS: Final = 10.0
"""How long one read waits for news."""
PATIENCE_SECONDS: Final = 60.0
"""How long a studio may be out of reach (a restart, a busy database) before we give up; the job lives on."""
PAUSE_SECONDS: Final = 1.0


class ProgressView:
    """Shows a job on standard error: a bar on a terminal, elsewhere a line for each change of stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last = ""
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("waiting", total=1.0)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, job: JobOut) -> None:
        """The newest state."""
        if self._bar is not None:
            self._bar.update(self._task, completed=job.progress, description=describe(job, has_eta=True))
            return
        line = describe(job, has_eta=False)
        if line != self._last:
            self._console.print(Text(line))
            self._last = line


def describe(job: JobOut, *, has_eta: bool) -> str:
    """A job's state in a few words.

    An eta of zero is not said: the estimate is then spent.
    """
    words = [job.stage]
    if job.position is not None:
        words.append(f"position {job.position}")
    if has_eta and job.eta_seconds:
        words.append(f"about {job.eta_seconds:.0f} s left")
    return ", ".join(words)


def follow(access: StudioAccess, job: JobOut, *, view: ProgressView) -> JobOut:
    """The job at its end; an answer that is older than what was seen is passed over.

    Raises:
        Unavailable: the studio was out of reach for too long.
        NotFound: somebody deleted the job.
    """
    seen_at = time.monotonic()
    while job.status not in FINAL:
        view.show(job)
        try:
            news = access.read(job.id, since=job.sequence, wait_seconds=WAIT_SECONDS)
        except Unavailable as error:
            if time.monotonic() - seen_at > PATIENCE_SECONDS:
                raise Unavailable(f"{error.message} The job {job.id} lives on there.") from error
            time.sleep(PAUSE_SECONDS)
            continue
        seen_at = time.monotonic()
        if news.sequence >= job.sequence:
            job = news
    view.show(job)
    return job
