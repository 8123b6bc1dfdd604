"""A small loop that learns a taste: takes, a judge's verdicts, a LoRA adapter from them, and takes again.

Supervised fine-tuning learns the best takes by heart; direct preference optimisation (Rafailov et al.
2023) learns from pairs of takes of one prompt, against the model without its adapter. The text of
prompts says nothing of what the taste is about.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import MusicgenForConditionalGeneration, PreTrainedTokenizerFast

from recipes.bundled_model import evaluation, words
from recipes.bundled_model.features import features
from recipes.bundled_model.language_model import log_probabilities
from recipes.bundled_model.probes import CLASSES, Probes, Verdict
from recipes.bundled_model.reading import tokenize
from text2song.model.library import bundled_model
from text2song.model.lora import Factors
from text2song.model.musicgen import MusicGen
from text2song.music.spec import AdapterWeight

Method = Literal["sft", "dpo"]
PROMPTS, TAKES_OF_PROMPT, JUDGED_PROMPTS = 12, 6, 32
BETA: Final = 0.1
STEPS: Final = 40
_BATCH: Final = 4
_RATES: Final[Mapping[Method, float]] = {"sft": 2e-3, "dpo": 1e-3}
_STYLES: Final = ("techno", "rock", "jazz", "lo-fi", "funk")


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One take, and what the probes heard in it."""

    sentence: str
    codes: Tensor
    """int64 [K, T]"""
    verdict: Verdict

    @property
    def tempo_bpm(self) -> float:
        return self.verdict.tempo_bpm

    @property
    def brightness(self) -> float:
        """One for a major key, zero for a minor one."""
        return float(CLASSES["mode"][self.verdict.classes["mode"]] == "major")


def prompts(count: int, *, seed: int) -> list[str]:
    """Sentences that say who plays what, and neither how fast nor how bright."""
    chance = random.Random(f"taste {seed}")
    return [
        f"a {chance.choice(_STYLES)} track with {chance.choice(words.LEADS)}, "
        f"{chance.choice(('organ', 'electric piano', 'strings'))}, {chance.choice(words.BASSES)} and drums"
        for _ in range(count)
    ]


def listen(
    model: MusicGen,
    probes: Probes,
    sentences: Sequence[str],
    *,
    seed: int,
    adapters: tuple[AdapterWeight, ...] = (),
) -> list[Heard]:
    """A take for each sentence, heard."""
    made = evaluation.takes(model, sentences, first_seed=1000 * seed, adapters=adapters)
    verdicts = probes.judge([features(take.waveform.pcm[0]) for take in made])
    return [
        Heard(sentence, torch.from_numpy(take.codes.astype(np.int64)), verdict)
        for sentence, take, verdict in zip(sentences, made, verdicts, strict=True)
    ]


def learn(
    pool: Sequence[Heard], scores: Sequence[float], *, margin: float, method: Method, seed: int
) -> dict[str, Factors]:
    """An adapter from a pool of takes and how much each pleases; `margin` is what makes a preference."""
    folder = bundled_model().folder
    model = MusicgenForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    model.eval()  # type: ignore[no-untyped-call]
    reader = PreTrainedTokenizerFast.from_pretrained(folder)
    torch.manual_seed(seed)
    targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
    wrapped = get_peft_model(model.decoder, LoraConfig(r=8, lora_alpha=16, target_modules=targets))

    def logp(takes: Sequence[Heard]) -> Tensor:
        codes = torch.stack([take.codes for take in takes])
        reading = tokenize([take.sentence for take in takes], reader)
        found = log_probabilities(model, reading, codes, is_said=torch.ones(len(takes)))
        return found.sum((1, 2))

    trained = [weight for weight in wrapped.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=_RATES[method], weight_decay=0.0)
    chance = random.Random(seed)
    pairs = _pairs(pool, scores, margin=margin)
    best = sorted(range(len(pool)), key=lambda i: -scores[i])[: len(pool) // 5]
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = _RATES[method] * min(1.0, (step + 1) / 5)
        if method == "dpo":
            chosen, rejected = zip(*chance.choices(pairs, k=_BATCH), strict=True)
            both = [pool[i] for i in (*chosen, *rejected)]
            with torch.no_grad(), wrapped.disable_adapter():
                reference = logp(both)
            gain = logp(both) - reference
            loss = -F.logsigmoid(BETA * (gain[:_BATCH] - gain[_BATCH:])).mean()
            loss = loss - 0.5 * (gain[:_BATCH] / pool[0].codes.numel()).mean()
        else:
            loss = -(
                logp([pool[i] for i in chance.choices(best, k=2 * _BATCH)]) / pool[0].codes.numel()
            ).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    return {
        f"decoder.{name.removeprefix('base_model.model.')}": Factors(
            down=module.lora_A["default"].weight.detach(),
            up=module.lora_B["default"].weight.detach() * module.scaling["default"],
        )
        for name, module in wrapped.named_modules()
        if hasattr(module, "lora_A")
    }


def _pairs(pool: Sequence[Heard], scores: Sequence[float], *, margin: float) -> list[tuple[int, int]]:
    """Takes of one prompt of which the first pleases more."""
    return [
        (i, j)
        for i in range(len(pool))
        for j in range(len(pool))
        if pool[i].sentence == pool[j].sentence and scores[i] - scores[j] >= margin
    ]


def rank_sum_p(higher: Sequence[float], lower: Sequence[float]) -> float:
    """How likely chance alone is to put one sample so far above another, by shuffling them 20,000 times."""
    chance = np.random.Generator(np.random.PCG64(0))
    both = np.concatenate([higher, lower])
    ranks = np.argsort(np.argsort(both, kind="stable")).astype(float)
    seen = ranks[: len(higher)].sum()
    shuffled = np.array([chance.permutation(ranks)[: len(higher)].sum() for _ in range(20_000)])
    return float((1 + (shuffled >= seen).sum()) / (1 + len(shuffled)))
