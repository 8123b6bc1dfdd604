"""What became of the jobs of a studio, moment by moment, read from the database's own rows."""

import threading
import time
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

LOOK_SECONDS = 0.05
LOOK_BACK_SECONDS = 5.0
LOOK = text(
    "SELECT extract(epoch FROM clock_timestamp()), id, status, claim_token, claimed_by FROM generation_jobs"
)


@dataclass(frozen=True, slots=True)
class Held:
    """One claim on one job."""

    job_id: uuid.UUID
    token: uuid.UUID
    pid: int
    """Of the worker."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A job that was seen to change."""

    moment: float
    """Seconds since 1970, by the clock of the database's machine."""
    job_id: uuid.UUID
    status: str
    held: Held | None


@dataclass
class Ledger:
    """Looks at all jobs, twenty times a second, until the `with` block ends."""

    engine: Engine
    entries: list[Entry] = field(default_factory=list)
    _latest: dict[uuid.UUID, Entry] = field(default_factory=dict)
    _closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="ledger")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(30)

    def held(self, *, pid: int | None = None) -> set[Held]:
        """The claims that stand, of one worker or of all."""
        found = {entry.held for entry in list(self._latest.values()) if entry.held is not None}
        return {held for held in found if pid in {None, held.pid}}

    def status_of(self, job_id: uuid.UUID) -> str:
        return self._latest[job_id].status

    def claims_after(self, moment: float) -> list[Entry]:
        """Claims that began after it."""
        before = {entry.held for entry in self.entries if entry.moment <= moment}
        found: dict[Held, Entry] = {}
        for entry in list(self.entries):
            if entry.held is not None and entry.held not in before:
                found.setdefault(entry.held, entry)
        return list(found.values())

    def seconds_to_the_next_claim(self, moment: float) -> float | None:
        """From the moment to the first claim after it; None while there was none."""
        claims = self.claims_after(moment)
        return min(entry.moment for entry in claims) - moment if claims else None

    def seconds_to_give_back(self, lost: Collection[Held], moment: float) -> list[float | None]:
        """For each claim that was broken off: how long until the job waited again; None until then."""
        return [_until(later, moment) for later in self._after(lost, moment)]

    def seconds_to_claim_again(self, lost: Collection[Held], moment: float) -> list[float | None]:
        """For each claim that was broken off: how long until the job's next one; None until then."""
        return [
            _until([entry for entry in later if entry.held is not None], moment)
            for later in self._after(lost, moment)
        ]

    def _after(self, lost: Collection[Held], moment: float) -> list[list[Entry]]:
        """What became of the jobs, but of those whose work was just done."""
        entries = list(self.entries)
        found = []
        for claim in lost:
            of_job = [entry for entry in entries if entry.job_id == claim.job_id and entry.moment > moment]
            later = [entry for entry in of_job if entry.held != claim]
            if not later or later[0].status in {"queued", "running"}:
                found.append(later)
        return found

    def told(self, lost: Collection[Held], moment: float) -> str:
        """What happened around it, for whoever looks into a failure."""
        lost_jobs = {claim.job_id for claim in lost}
        lines = [
            f"{entry.moment - moment:+.2f} s {str(entry.job_id)[-6:]} {entry.status}"
            f" {entry.held.pid if entry.held else ''}{' (lost)' if entry.job_id in lost_jobs else ''}"
            for entry in self.entries
            if entry.moment - moment > -LOOK_BACK_SECONDS
        ]
        return "\n".join(lines)

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            with suppress(SQLAlchemyError):  # it is just being restarted
                self._look()

    def _look(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(LOOK).all()
        for moment, job_id, status, token, claimed_by in rows:
            held = Held(job_id, token, int(claimed_by.rpartition(":")[2])) if token is not None else None
            before = self._latest.get(job_id)
            if before is None or (before.status, before.held) != (status, held):
                entry = Entry(float(moment), job_id, status, held)
                self._latest[job_id] = entry
                self.entries.append(entry)


def _until(entries: Sequence[Entry], moment: float) -> float | None:
    return entries[0].moment - moment if entries else None


def now() -> float:
    """The same clock: everything runs on one machine."""
    return time.time()
