"""Does it play what is asked for? Unseen prompts, the studio's own engine at its defaults, and the probes.

Of the model that is shipped: `python -m recipes.bundled_model.evaluation`.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from recipes.bundled_model import brief as briefs
from recipes.bundled_model.brief import Brief
from recipes.bundled_model.captions import caption
from recipes.bundled_model.features import CLIP_SECONDS, features
from recipes.bundled_model.probes import CLASSES, KEPT, Probes, class_of, is_tempo_right
from text2song.model.library import bundled_model
from text2song.model.musicgen import MusicGen
from text2song.model.protocol import GeneratedTake, play
from text2song.music.spec import AdapterWeight, GenerationSpec

log = logging.getLogger(__name__)

PROMPTS: Final = 224
LONG_TAKES: Final = 24
LONG_SECONDS: Final = 30
_SHIFTS: Final = range(3, 200, 7)
"""By how many places answers are shifted against prompts, to see what chance would give."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One unseen prompt, and what it asks for."""

    sentence: str
    song: Brief


def unseen(count: int) -> list[Asked]:
    """Prompts that say everything, of songs that no training step has drawn."""
    asked = []
    for index in range(count):
        rng = Random(f"unseen {index}")
        song = briefs.draw(rng)
        asked.append(Asked(caption(song, rng, says_all=True).text, song))
    return asked


def takes(
    model: MusicGen,
    sentences: Sequence[str],
    *,
    seconds: float = CLIP_SECONDS,
    first_seed: int = 0,
    adapters: tuple[AdapterWeight, ...] = (),
) -> list[GeneratedTake]:
    """A take for each sentence, at the studio's defaults."""
    specs = [
        GenerationSpec(sentence, seed=first_seed + i, duration_seconds=seconds, adapters=adapters)
        for i, sentence in enumerate(sentences)
    ]
    made: dict[int, GeneratedTake] = {}
    for result in play(model, specs):
        assert isinstance(result.outcome, GeneratedTake), result.outcome
        made[result.row] = result.outcome
    return [made[i] for i in range(len(specs))]


def adherence(model: MusicGen, probes: Probes, *, prompts: int = PROMPTS) -> dict[str, Any]:
    """How often each attribute is as asked, and how often it would be by chance."""
    asked = unseen(prompts)
    made = takes(model, [each.sentence for each in asked])
    verdicts = probes.judge([features(take.waveform.pcm[0]) for take in made])
    found: dict[str, Any] = {}
    for name in CLASSES:
        heard = np.array([verdict.classes[name] for verdict in verdicts])
        wanted = np.array([class_of(each.song, name) for each in asked])
        found[name] = {
            "right": float((heard == wanted).mean()),
            "by chance": float(np.mean([(heard == np.roll(wanted, s)).mean() for s in _SHIFTS])),
        }
    heard_bpm = np.array([verdict.tempo_bpm for verdict in verdicts])
    wanted_bpm = np.array([each.song.tempo_bpm for each in asked], dtype=float)
    found["tempo"] = {
        "right": _tempo_right(heard_bpm, wanted_bpm),
        "by chance": float(np.mean([_tempo_right(heard_bpm, np.roll(wanted_bpm, s)) for s in _SHIFTS])),
        "rank correlation": _spearman(heard_bpm, wanted_bpm),
    }
    found["health"] = health([take.waveform.pcm for take in made])
    return found


def health(sounds: Sequence[NDArray[np.floating]]) -> dict[str, int]:
    """How many clips are silent, broken or clipped."""
    return {
        "clips": len(sounds),
        "silent": sum(bool(np.sqrt(np.mean(pcm**2)) < 1e-3) for pcm in sounds),
        "not finite": sum(not np.isfinite(pcm).all() for pcm in sounds),
        "clipped": sum(bool(np.abs(pcm).max() >= 1.0) for pcm in sounds),
    }


def long_takes(model: MusicGen, probes: Probes, *, count: int = LONG_TAKES) -> dict[str, float]:
    """What half a minute does to tempo, level and mode: the first eight seconds against the last."""
    asked = unseen(count)
    made = takes(model, [each.sentence for each in asked], seconds=LONG_SECONDS)
    rate = made[0].waveform.sample_rate
    first = [take.waveform.pcm[0, : CLIP_SECONDS * rate] for take in made]
    last = [take.waveform.pcm[0, -CLIP_SECONDS * rate :] for take in made]
    before, after = (probes.judge([features(clip) for clip in clips]) for clips in (first, last))
    drift = [abs(b.tempo_bpm / a.tempo_bpm - 1) for a, b in zip(before, after, strict=True)]
    level = [20 * np.log10(np.std(b) / np.std(a)) for a, b in zip(first, last, strict=True)]
    return {
        "tempo drift, median": float(np.median(drift)),
        "tempo drift below 3 %": float(np.mean(np.array(drift) < 0.03)),
        "level change in dB, median of its size": float(np.median(np.abs(level))),
        "same mode": float(
            np.mean([a.classes["mode"] == b.classes["mode"] for a, b in zip(before, after, strict=True)])
        ),
    }


def seconds_for_one(model: MusicGen) -> float:
    """Processor seconds for a take of eight seconds, the median of five."""
    spent = []
    for index in range(6):
        started = time.process_time()
        takes(model, ["a calm jazz tune with piano, bass and drums, 100 bpm"], first_seed=index)
        spent.append(time.process_time() - started)
    return float(np.median(spent[1:]))


def _tempo_right(heard: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(np.mean([is_tempo_right(h, w) for h, w in zip(heard, wanted, strict=True)]))


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    first, second = (np.argsort(np.argsort(values, kind="stable")).astype(np.float64) for values in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def evaluate(folder: Path, probes: Probes, *, prompts: int = PROMPTS) -> dict[str, Any]:
    """Everything that is measured, for a model folder."""
    model = MusicGen.load(folder, dtype="auto")
    return {
        "adherence": adherence(model, probes, prompts=prompts),
        "long takes": long_takes(model, probes),
        "processor seconds for eight": seconds_for_one(model),
    }


def main() -> None:
    """Print everything as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", type=Path, default=bundled_model().folder)
    arguments.add_argument("--probes", type=Path, default=KEPT)
    arguments.add_argument("--prompts", type=int, default=PROMPTS)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    found = evaluate(given.model, Probes.load(given.probes), prompts=given.prompts)
    print(json.dumps(found, indent=2))  # noqa: T201  # it is what the command is for


if __name__ == "__main__":
    main()
