"""The doorbell: it says that there is work, never which."""

from typing import Protocol


class JobQueue(Protocol):
    """One method. Which work is done, and in what order, is decided by the claim.

    A backend owes: `ring` returns at once and never raises for a queue that is out of reach (the
    sweep rings again); after a bell, a worker of that kind looks for work, soon. A bell may be
    doubled, delayed or lost: the first two are harmless, the last costs one sweep.
    """

    def ring(self, kind: str) -> None:
        """Wake the workers of this kind."""
        ...


class SilentQueue:
    """For a process that hosts no worker: what it submits is found by the workers' sweep."""

    def ring(self, kind: str) -> None:
        """Do nothing."""
