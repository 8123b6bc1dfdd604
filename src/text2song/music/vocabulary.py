"""The words that a small model was taught. A large one has no such list: it reads sentences."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from text2song.errors import InvalidInput
from text2song.music.attributes import TEMPO_RANGE_BPM, clean_text
from text2song.numbers import require_number

TEXT_LIMIT: Final = 500
"""Characters of a word, and of the note."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a small model understands, in its maker's words; stored as JSON under these names."""

    styles: tuple[str, ...]
    instruments: tuple[str, ...]
    moods: tuple[str, ...]
    tempo_range_bpm: tuple[float, float]
    """The slowest and the fastest tempo."""
    note: str
    """A sentence on what the model does with other words."""

    @classmethod
    def read(cls, document: object) -> Self | None:
        """None for whatever has not this form: a model without a vocabulary plays all the same."""
        if not isinstance(document, dict):
            return None
        try:
            slowest, fastest = document["tempo_range_bpm"]
            slowest = _tempo(slowest, low=TEMPO_RANGE_BPM[0])
            fastest = _tempo(fastest, low=slowest)
            lists = {name: _words(document[name]) for name in ("styles", "instruments", "moods")}
            (note,) = _words([document["note"]])
        except (KeyError, TypeError, ValueError, InvalidInput):
            return None
        return cls(**lists, tempo_range_bpm=(slowest, fastest), note=note)

    def as_json(self) -> dict[str, Any]:
        """The stored form."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def knows_some_of(self, sentence: str) -> bool:
        """Whether one of its words stands there, as a word of its own."""
        spelled = "|".join(map(re.escape, (*self.styles, *self.instruments, *self.moods)))
        return bool(spelled) and re.search(rf"(?<!\w)({spelled})(?!\w)", sentence, re.IGNORECASE) is not None

    def as_lines(self) -> tuple[str, ...]:
        """For a person: what there is of each kind, and the note."""
        low, high = self.tempo_range_bpm
        kinds = {"styles": self.styles, "instruments": self.instruments, "moods": self.moods}
        lines = (f"{name}: {', '.join(words)}" for name, words in kinds.items() if words)
        return (*lines, f"tempo: {low:g} to {high:g} beats a minute", self.note)


def _tempo(bpm: object, *, low: float) -> float:
    return require_number(bpm, name="tempo", low=low, high=TEMPO_RANGE_BPM[1])


def _words(words: object) -> tuple[str, ...]:
    if not isinstance(words, list | tuple):
        raise TypeError
    return tuple(clean_text(word, name="a word", limit=TEXT_LIMIT) for word in words)
