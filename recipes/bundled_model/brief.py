"""What one song is to be: the attributes that its caption says and its notes have."""

from dataclasses import dataclass
from random import Random
from typing import Final

from recipes.bundled_model.words import BASSES, CHORDS, ENERGIES, LEADS, MODES, STYLES, TEMPO_RANGE_BPM

CLASSES: Final[dict[str, tuple[object, ...]]] = {
    "has_drums": (False, True),
    "lead": LEADS,
    "bass": (None, *BASSES),
    "chords": (None, *CHORDS),
    "mode": MODES,
    "style": STYLES,
    "energy": ENERGIES,
}
"""What a field of a brief can be, but for tempo and tonic; probes that were kept go by this order."""
TONICS: Final = (0, 5, 7)
"""C, F and G, as semitones above C: the triads of their major and minor keys are sixteen."""


@dataclass(frozen=True, slots=True)
class Brief:
    """One song. `chords` and `bass` are None where nobody plays them."""

    style: str
    tempo_bpm: int
    lead: str
    chords: str | None
    bass: str | None
    has_drums: bool
    mode: str
    energy: str
    tonic: int
    """Semitones above C."""


@dataclass(frozen=True, slots=True)
class _Habits:
    """What is usual in a style."""

    tempo_bpm: tuple[int, int]
    leads: tuple[str, ...]
    chords: tuple[str, ...]
    basses: tuple[str, ...]
    drums: float
    """How often there are drums."""


_HABITS: Final = {
    "ambient": _Habits((60, 105), ("flute", "bells", "piano", "synth"), ("pad", "strings"), BASSES, 0.25),
    "techno": _Habits((110, 160), ("synth", "bells"), ("pad", "organ"), ("synth bass",), 0.9),
    "rock": _Habits((90, 180), ("guitar", "synth"), ("guitar", "organ"), ("bass",), 0.9),
    "jazz": _Habits(
        (80, 180), ("saxophone", "piano", "guitar"), ("piano", "electric piano", "guitar"), ("bass",), 0.8
    ),
    "lofi": _Habits((60, 100), ("piano", "guitar", "bells"), ("electric piano", "piano"), ("bass",), 0.85),
    "classical": _Habits((60, 150), ("flute", "piano", "guitar"), ("strings", "piano"), ("bass",), 0.15),
    "funk": _Habits(
        (90, 130), ("guitar", "saxophone", "synth"), ("electric piano", "organ", "guitar"), BASSES, 0.9
    ),
}
_UNUSUAL: Final = 0.45
"""How often each attribute goes against its style's habits, so that a prompt may ask for anything."""


def draw(rng: Random) -> Brief:
    """A brief as the training songs have them: habits of a style, with each attribute at times its own."""
    style = rng.choice(STYLES)
    habits = _HABITS[style]

    def usual() -> bool:
        return rng.random() >= _UNUSUAL

    low, high = habits.tempo_bpm if usual() else TEMPO_RANGE_BPM
    chords: str | None = rng.choice(habits.chords if usual() else CHORDS)
    bass: str | None = rng.choice(habits.basses if usual() else BASSES)
    if rng.random() < 0.12:
        chords = None
    if rng.random() < 0.25:
        bass = None
    return Brief(
        style=style,
        tempo_bpm=rng.randint(low, high),
        lead=rng.choice(habits.leads if usual() else LEADS),
        chords=chords,
        bass=bass,
        has_drums=rng.random() < (habits.drums if usual() else 0.5),
        mode=rng.choice(MODES),
        energy=rng.choice(ENERGIES),
        tonic=rng.choice(TONICS),
    )
