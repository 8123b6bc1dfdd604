"""Feedback changes what is heard: two arms that learn opposite tastes from the same takes."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from recipes.bundled_model import words
from recipes.bundled_model.probes import CLASSES, KEPT, Probes
from tests.figures import RecordFigure
from tests.proof import taste
from tests.proof.taste import Heard, Method
from text2song.artifacts.digest import sha256_hex
from text2song.model.library import bundled_model
from text2song.model.musicgen import MusicGen
from text2song.music.spec import AdapterWeight

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(1800),
    # peft asks by the old name
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]


@dataclass(frozen=True, slots=True)
class Before:
    """The bare model: what the judge hears first, and what it plays to the prompts of the test."""

    model: MusicGen
    probes: Probes
    pool: list[Heard]
    bare: list[Heard]
    asked: list[str]
    seed: int
    seconds: float


@pytest.fixture(scope="module", params=[1, 2, 3])
def before(request: pytest.FixtureRequest) -> Before:
    began = time.monotonic()
    torch.set_num_threads(2)
    model, probes, seed = (
        MusicGen.load(bundled_model().folder, dtype="auto"),
        Probes.load(KEPT),
        request.param,
    )
    told = [
        prompt for prompt in taste.prompts(taste.PROMPTS, seed=seed) for _ in range(taste.TAKES_OF_PROMPT)
    ]
    asked = taste.prompts(taste.JUDGED_PROMPTS, seed=seed + 100)
    pool = taste.listen(model, probes, told, seed=seed)
    bare = taste.listen(model, probes, asked, seed=seed + 50)
    return Before(model, probes, pool, bare, asked, seed, time.monotonic() - began)


@pytest.mark.parametrize("method", ["dpo", "sft"])
@pytest.mark.parametrize("about", ["tempo_bpm", "brightness"])
def test_opposite_tastes_lead_to_opposite_music(
    before: Before, about: str, method: Method, record_figure: RecordFigure
) -> None:
    began = time.monotonic()
    margin = {"tempo_bpm": 15.0, "brightness": 1.0}[about]
    heard: dict[str, list[Heard]] = {}
    for arm, sign in (("more", 1), ("less", -1)):
        scores = [sign * getattr(take, about) for take in before.pool]
        factors = taste.learn(before.pool, scores, margin=margin, method=method, seed=before.seed)
        adapter = AdapterWeight(sha256_hex(f"{about} {method} {arm} {before.seed}".encode()))
        before.model.adapters.add(adapter.digest, factors)
        heard[arm] = taste.listen(
            before.model, before.probes, before.asked, seed=before.seed + 50, adapters=(adapter,)
        )
    seconds = before.seconds + time.monotonic() - began
    more, less = ([getattr(take, about) for take in heard[arm]] for arm in ("more", "less"))
    apart, p = float(np.mean(more) - np.mean(less)), taste.rank_sum_p(more, less)
    drops = {
        name: max(hits(before.bare, name) - hits(heard[arm], name) for arm in heard)
        for name in ("lead", "chords", "bass", "drums")
    }
    label = f"{about} {method} seed {before.seed}"
    record_figure(f"{label}: apart", apart, {"tempo_bpm": "BPM", "brightness": "of all takes"}[about])
    record_figure(f"{label}: p", p, "")
    record_figure(f"{label}: largest drop of another probe", max(drops.values()), "")
    record_figure(f"{label}: all of it took", seconds, "s")
    assert apart >= {"tempo_bpm": 20.0, "brightness": 0.25}[about]
    assert p < 0.01
    assert max(drops.values()) <= 0.1, drops
    again = taste.listen(before.model, before.probes, before.asked[:4], seed=before.seed + 50)
    assert all(torch.equal(one.codes, other.codes) for one, other in zip(again, before.bare, strict=False))


def hits(heard: list[Heard], name: str) -> float:
    """How often that attribute is as the prompt has it."""
    known = {"lead": words.LEADS, "chords": ("organ", "electric piano", "strings"), "bass": words.BASSES}
    right = []
    for take in heard:
        if name == "drums":
            wanted: object = True
        elif name == "lead":
            wanted = next(w for w in known[name] if f"with {w}," in take.sentence)
        else:
            wanted = next(w for w in sorted(known[name], key=len, reverse=True) if f", {w}" in take.sentence)
        right.append(CLASSES[name][take.verdict.classes[name]] == wanted)
    return float(np.mean(right))
