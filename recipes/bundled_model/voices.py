"""How the instruments sound: sums of partials, and drums of sines and noise.

A plucked or struck note has its attack in codes of its own, then falls through a few levels that each
loop; a blown or bowed note speaks, then loops until it ends. All is mono PCM around one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recipes.bundled_model.tuning import FRAME_SAMPLES, SAMPLE_RATE, Loop

Samples = NDArray[np.float64]
_TOP_HERTZ: Final = 13_000.0
"""Above, there is nothing."""
_HISS_FRAMES: Final = 5
"""All cymbals are cut from so much noise, so that few directions of the codec hold them all."""
FRAME_SECONDS: Final = FRAME_SAMPLES / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Level:
    """A stretch of a note that loops: from which frame of its age, and as it sounds at which age."""

    from_frame: int
    like_frame: float


@dataclass(frozen=True, slots=True)
class Voice:
    """One instrument."""

    partials: tuple[float, ...]
    """Amplitudes of the whole multiples of the pitch, unless `ratios` says otherwise."""
    gain: float
    ratios: tuple[float, ...] | None = None
    decay: float = 0.0
    """Nepers a second of the lowest partial; 0 sustains."""
    decay_by_partial: float = 0.0
    """Nepers a second more for each partial above."""
    attack_seconds: float = 0.003
    attack_frames: int = 3
    """Frames before the loops."""
    levels: tuple[Level, ...] = ()
    last_frame: int | None = None
    """The age at which it has died away; None where it sounds until it ends."""

    def frequencies(self, loop: Loop, tone: int) -> list[float]:
        """Hertz of each partial of a tone, on the grid that repeats with the loop."""
        base = loop.hertz[tone]
        ratios = self.ratios or tuple(range(1, len(self.partials) + 1))
        grid = 1 / (FRAME_SECONDS * loop.frames)
        return [round(base * ratio / grid) * grid for ratio in ratios]


def plucked(
    partials: tuple[float, ...],
    *,
    gain: float,
    decay: float,
    by_partial: float,
    ratios: tuple[float, ...] | None = None,
) -> Voice:
    """A note that falls: three frames of attack, then levels that get longer as they get softer."""
    return Voice(
        partials=partials,
        gain=gain,
        ratios=ratios,
        decay=decay,
        decay_by_partial=by_partial,
        levels=(Level(3, 4.0), Level(7, 9.0), Level(13, 16.0)),
        last_frame=26,
    )


def held(partials: tuple[float, ...], *, gain: float, attack_seconds: float, attack_frames: int = 1) -> Voice:
    """A note that lasts until it ends."""
    return Voice(
        partials=partials,
        gain=gain,
        attack_seconds=attack_seconds,
        attack_frames=attack_frames,
        levels=(Level(attack_frames, 1e9),),
    )


def _comb(count: int, *, at: float, power: float) -> tuple[float, ...]:
    """A string plucked at a part `at` of its length: partials with a node there are missing."""
    return tuple(abs(float(np.sin(np.pi * k * at))) / k**power for k in range(1, count + 1))


def _odd(count: int, *, power: float, even: float) -> tuple[float, ...]:
    return tuple((1.0 if k % 2 else even) / k**power for k in range(1, count + 1))


VOICES: Final = {
    "lead": {
        "piano": plucked((1, 0.5, 0.3, 0.16, 0.1, 0.06, 0.03), gain=0.26, decay=2.2, by_partial=0.8),
        "guitar": plucked(_comb(11, at=0.22, power=1.05), gain=0.36, decay=3.0, by_partial=1.3),
        "bells": plucked((1, 0.35, 0.45, 0.2), ratios=(1, 2, 4.2, 5.4), gain=0.22, decay=2.6, by_partial=2.5),
        "flute": held((1, 0.22, 0.09, 0.03), gain=0.24, attack_seconds=0.03, attack_frames=2),
        "saxophone": held(
            (0.8, 1, 0.75, 0.55, 0.36, 0.24, 0.15, 0.09), gain=0.13, attack_seconds=0.02, attack_frames=2
        ),
        "synth": held(_odd(13, power=1.15, even=0.12), gain=0.17, attack_seconds=0.004),
    },
    "chords": {
        "piano": plucked((1, 0.5, 0.3, 0.16, 0.1, 0.06), gain=0.115, decay=2.0, by_partial=0.8),
        "electric piano": plucked(
            (1, 0.06, 0.22, 0.03), ratios=(1, 2, 4, 7), gain=0.15, decay=1.4, by_partial=4.0
        ),
        "guitar": plucked(_comb(11, at=0.18, power=1.0), gain=0.15, decay=3.2, by_partial=1.2),
        "organ": held((1, 0.8, 0.4, 0.5, 0, 0.3, 0, 0.25), gain=0.062, attack_seconds=0.006),
        "strings": held(
            tuple(1 / k**1.3 for k in range(1, 11)), gain=0.068, attack_seconds=0.05, attack_frames=2
        ),
        "pad": held((1, 0.3, 0.12, 0.05), gain=0.095, attack_seconds=0.08, attack_frames=3),
    },
    "bass": {
        "bass": plucked((1, 0.6, 0.35, 0.18, 0.1, 0.05), gain=0.34, decay=1.8, by_partial=0.9),
        "synth bass": held(tuple(1 / k for k in range(1, 11)), gain=0.21, attack_seconds=0.004),
    },
}


def tones(voice: Voice, loop: Loop, *, seconds: Samples, like_seconds: Samples | float) -> Samples:
    """The sum of a loop's tones: phases as at `seconds` after the onset, amplitudes as at `like_seconds`."""
    total = np.zeros_like(seconds)
    for tone in range(len(loop.cycles)):
        for index, (amplitude, hertz) in enumerate(
            zip(voice.partials, voice.frequencies(loop, tone), strict=True)
        ):
            if 0 < hertz < _TOP_HERTZ and amplitude:
                fall = np.exp(-like_seconds * (voice.decay + voice.decay_by_partial * index))
                total += amplitude * fall * np.sin(2 * np.pi * hertz * seconds)
    attack = np.clip(seconds / voice.attack_seconds, 0, 1)
    return voice.gain * total * attack


@dataclass(frozen=True, slots=True)
class Hit:
    """One stroke of a drum or cymbal."""

    pcm: Samples

    @property
    def frames(self) -> int:
        """How long it sounds."""
        return -(-len(self.pcm) // FRAME_SAMPLES)


def _hits() -> tuple[dict[str, Hit], dict[str, Hit]]:
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal(SAMPLE_RATE)
    hiss = np.resize(_brighter(noise, times=3)[: _HISS_FRAMES * FRAME_SAMPLES], SAMPLE_RATE)
    rattle = _brighter(noise[::-1], times=1)
    drums = {
        "kick": _ringing(
            6, 13, lambda t: 0.62 * np.sin(2 * np.pi * (48 * t + 4.2 * (1 - np.exp(-t / 0.03))))
        ),
        "snare": _ringing(5, 22, lambda t: 0.28 * np.sin(2 * np.pi * 185 * t) + 0.3 * rattle[: len(t)]),
        "clap": _ringing(4, 20, lambda t: 0.5 * rattle[: len(t)] * _clapping(t)),
        "rim": _ringing(2, 70, lambda t: 0.4 * np.sin(2 * np.pi * 820 * t) + 0.1 * hiss[: len(t)]),
        "high tom": _ringing(5, 14, lambda t: 0.45 * np.sin(2 * np.pi * (150 * t + (1 - np.exp(-t / 0.04))))),
        "low tom": _ringing(5, 12, lambda t: 0.5 * np.sin(2 * np.pi * (95 * t + (1 - np.exp(-t / 0.05))))),
    }
    cymbals = {
        "hat": _ringing(2, 75, lambda t: 0.34 * hiss[: len(t)]),
        "soft hat": _ringing(2, 75, lambda t: 0.15 * hiss[: len(t)]),
        "open hat": _ringing(5, 16, lambda t: 0.26 * hiss[: len(t)]),
        "ride": _ringing(6, 13, lambda t: 0.14 * hiss[: len(t)] + 0.05 * np.sin(2 * np.pi * 3488 * t)),
        "shaker": _ringing(3, 40, lambda t: 0.2 * hiss[: len(t)] * np.minimum(1, t / 0.02)),
        "crash": _ringing(14, 7, lambda t: 0.28 * hiss[: len(t)]),
    }
    return drums, cymbals


def _ringing(frames: int, decay: float, wave: Callable[[Samples], Samples]) -> Hit:
    """A stroke that falls by so many nepers a second, and is over after so many frames."""
    t = np.arange(frames * FRAME_SAMPLES) / SAMPLE_RATE
    ending = np.clip((t[-1] - t) / 0.01, 0, 1)
    return Hit(wave(t) * np.exp(-t * decay) * np.minimum(1, t / 0.0015) * ending)


def _clapping(t: Samples) -> Samples:
    """Three short bursts, then the room."""
    return np.where(t < 0.03, np.exp(-((t * 100) % 1) * 4), 1.0)


def _brighter(noise: Samples, *, times: int) -> Samples:
    for _ in range(times):
        noise = np.diff(noise, prepend=0.0)
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE) > _TOP_HERTZ] = 0  # see codec.py: marks sound there
    bright = np.fft.irfft(spectrum, len(noise))
    loudest: Samples = bright / np.abs(bright).max()
    return loudest


DRUMS, CYMBALS = _hits()
