"""The structured half of a prompt: style, tempo, instrumentation, mood, duration."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from text2song.errors import InvalidInput
from text2song.numbers import require_number

WORD_LIMIT: Final = 100
"""Characters in one word or phrase (a style, a mood, an instrument)."""
INSTRUMENT_LIMIT: Final = 16
TEMPO_RANGE_BPM: Final = (20.0, 300.0)
DURATION_RANGE_SECONDS: Final = (0.5, 300.0)
"""What can be written down; the model that is served may allow less."""

JOINERS: Final = frozenset("\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2060\ufeff") | frozenset(
    map(chr, range(0xE0020, 0xE0080))
)
"""Not printable by themselves, and needed: to write Persian, Hindi and Thai, to set Hebrew beside English,
for many emoji and some flags. Others are pasted along unseen: a soft hyphen, the mark at a file's start."""
INVISIBLE: Final = JOINERS.union(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0",
    *(map(chr, range(*ends)) for ends in ((0x180B, 0x1810), (0xFE00, 0xFE10), (0xE0100, 0xE01F0))),
)
"""Nothing to see either, though Unicode counts them as printable: fillers of Hangul, the braille cell
without dots, selectors of variants."""


def clean_text(value: object, *, name: str, limit: int) -> str:
    """One line of text: outer and repeated white space gone, not empty, at most `limit` characters.

    What shows nothing is empty, however many invisible letters it has. A model's tokenizer spells some
    characters out (NFKC), one of them in eighteen letters: as it reads them, they are counted.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text, not {value!r}.", field=name)
    text = " ".join(value.split())
    if all(letter in INVISIBLE or letter == " " for letter in text):
        raise InvalidInput(f"{name} is empty: write some words, or leave it out.", field=name)
    if not all(letter.isprintable() or letter in JOINERS for letter in text):
        raise InvalidInput(f"{name} holds characters that cannot be printed.", field=name)
    if len(text) > limit:
        raise InvalidInput(f"{name} has {len(text)} characters; the limit is {limit}.", field=name)
    spelled_out = len(unicodedata.normalize("NFKC", text))
    if spelled_out > limit:
        raise InvalidInput(
            f"{name} has {spelled_out} characters once its ligatures and signs are spelled out, as the model "
            f"reads them; the limit is {limit}.",
            field=name,
        )
    return text


@dataclass(frozen=True, slots=True)
class MusicAttributes:
    """Validated once, here; stored as JSON under the names of the product's design (see `as_json`)."""

    style: str | None = None
    tempo_bpm: float | None = None
    instrumentation: tuple[str, ...] = ()
    mood: str | None = None
    duration_seconds: float | None = None

    def __post_init__(self) -> None:
        """Clean the words and check the numbers.

        Raises:
            InvalidInput: with the attribute's name as its field.
        """
        for name in ("style", "mood"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, clean_text(value, name=name, limit=WORD_LIMIT))
        if len(self.instrumentation) > INSTRUMENT_LIMIT:
            raise InvalidInput(
                f"instrumentation is a list of at most {INSTRUMENT_LIMIT} instruments.",
                field="instrumentation",
            )
        words = (clean_text(i, name="instrumentation", limit=WORD_LIMIT) for i in self.instrumentation)
        object.__setattr__(self, "instrumentation", tuple(words))
        if self.tempo_bpm is not None:
            low, high = TEMPO_RANGE_BPM
            tempo = require_number(self.tempo_bpm, name="tempo", low=low, high=high, unit="BPM")
            object.__setattr__(self, "tempo_bpm", tempo)
        if self.duration_seconds is not None:
            low, high = DURATION_RANGE_SECONDS
            seconds = require_number(
                self.duration_seconds, name="duration", low=low, high=high, unit="seconds"
            )
            object.__setattr__(self, "duration_seconds", seconds)

    def as_json(self) -> dict[str, Any]:
        """The stored form: `{style, tempo, instrumentation, mood, duration}`, always all five."""
        return {
            "style": self.style,
            "tempo": self.tempo_bpm,
            "instrumentation": list(self.instrumentation),
            "mood": self.mood,
            "duration": self.duration_seconds,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`; absent names mean absent attributes, unknown names are refused."""
        unknown = sorted(set(stored) - {"style", "tempo", "instrumentation", "mood", "duration"})
        if unknown:
            raise InvalidInput(
                f"{unknown[0]} is not an attribute; there are style, tempo, instrumentation, mood, duration.",
                field=unknown[0],
            )
        instrumentation = stored.get("instrumentation") or ()
        if not isinstance(instrumentation, list | tuple):
            raise InvalidInput('instrumentation is a list, such as ["piano"].', field="instrumentation")
        return cls(
            style=stored.get("style"),
            tempo_bpm=stored.get("tempo"),
            instrumentation=tuple(instrumentation),
            mood=stored.get("mood"),
            duration_seconds=stored.get("duration"),
        )
