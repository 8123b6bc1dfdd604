"""What a check of `doctor` finds."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    NOTE = "note"
    """Works, but there is something to know."""
    PROBLEM = "problem"
    """Something must be done."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    found: str
    """What is there, or what is wrong and what to do."""
