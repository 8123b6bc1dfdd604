"""Judges: small networks that have learned from our own renders to tell each attribute of a clip by ear.

A probe's ceiling is how often it is right about songs that the composer itself has made; what the model
makes can hardly do better. Tempo is judged by how onsets repeat, all else by spectrograms.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recipes.bundled_model import brief as briefs
from recipes.bundled_model import dictionary, scoring
from recipes.bundled_model.brief import Brief
from recipes.bundled_model.features import CLIP_SECONDS, LAGS, SEMITONES, Features, features
from recipes.bundled_model.tuning import FRAME_RATE

log = logging.getLogger(__name__)

CLASSES: Final = {field.removeprefix("has_"): classes for field, classes in briefs.CLASSES.items()}
"""What probes tell apart, by attribute."""
KEPT: Final = Path(__file__).with_name("probes.safetensors")
"""The probes as they were learned, so that whoever judges the shipped model need not learn them anew."""
TEMPO_TOLERANCE: Final = 0.06
_TEMPO_BINS: Final = torch.linspace(np.log(56), np.log(192), 150)
"""Logarithms of beats a minute."""
_TEMPO_BLUR: Final = 0.012


def class_of(brief: Brief, attribute: str) -> int:
    """Which of an attribute's classes a song is of."""
    field = "has_drums" if attribute == "drums" else attribute
    return CLASSES[attribute].index(getattr(brief, field))


class _Timbres(nn.Module):
    """Everything but tempo, from the mel spectrogram and the semitones."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = nn.Sequential(
            nn.Conv2d(1, 24, (5, 5), stride=2, padding=2), nn.BatchNorm2d(24), nn.ReLU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1), nn.BatchNorm2d(48), nn.ReLU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
            nn.Conv2d(64, 96, (8, 3), padding=(0, 1)), nn.BatchNorm2d(96), nn.ReLU(),
        )  # fmt: skip
        self.tones = nn.Sequential(nn.Linear(2 * SEMITONES, 128), nn.ReLU())
        size = sum(len(classes) for classes in CLASSES.values())
        self.heads = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * 96 + 128, size))

    def forward(self, mel: Tensor, tones: Tensor) -> Tensor:
        """[B, M, J] and [B, P, J'] to logits [B, all classes]."""
        heard = self.mel(((mel + 4) / 4)[:, None]).squeeze(2)  # [B, 96, J / 8]
        tones = tones / 4
        steady = torch.cat([tones.mean(2), tones.amax(2)], 1)
        return self.heads(torch.cat([heard.mean(2), heard.amax(2), self.tones(steady)], 1))  # type: ignore[no-any-return]


def _tempo_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(5 * len(LAGS), 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, len(_TEMPO_BINS))
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probes hear."""

    classes: dict[str, int]
    """By attribute, an index into its classes."""
    tempo_bpm: float


class Probes:
    """All probes."""

    def __init__(self) -> None:
        self._timbres = _Timbres().eval()
        self._tempo = _tempo_net().eval()

    @torch.inference_mode()
    def judge(self, heard: Sequence[Features]) -> list[Verdict]:
        """A verdict for each clip."""
        mel, tones, onsets = _stacked(heard)
        logits = self._timbres(mel, tones)
        tempo = self._tempo(onsets).softmax(1)  # [B, bins]
        best = tempo.argmax(1, keepdim=True)
        near = tempo * ((torch.arange(len(_TEMPO_BINS)) - best).abs() <= 3)
        bpm = ((near * _TEMPO_BINS).sum(1) / near.sum(1)).exp()
        classes = {name: part.argmax(1).tolist() for name, part in _by_attribute(logits).items()}
        return [
            Verdict({name: classes[name][i] for name in CLASSES}, float(bpm[i])) for i in range(len(heard))
        ]

    def save(self, path: Path) -> None:
        """Keep the weights, in half precision."""
        weights = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in self._nets().state_dict().items()
        }
        save_file(weights, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Probes whose weights were kept."""
        probes = cls()
        probes._nets().load_state_dict(load_file(path))
        return probes

    def _nets(self) -> nn.Module:
        return nn.ModuleDict({"timbres": self._timbres, "tempo": self._tempo})

    def learn(self, heard: Sequence[Features], songs: Sequence[Brief], *, epochs: int) -> None:
        """Learn from clips of songs."""
        _learn_timbres(self._timbres, heard, songs, epochs=epochs)
        _learn_tempo(self._tempo, heard, songs, epochs=2 * epochs)


def rendered(seeds: Sequence[str]) -> tuple[list[Features], list[Brief]]:
    """Clips that the composer makes, each from the beginning of its song."""
    book, heard, songs = dictionary.build(), [], []
    for seed in seeds:
        rng = Random(seed)
        song = briefs.draw(rng)
        codes = scoring.perform(song, rng, frames=CLIP_SECONDS * FRAME_RATE)
        heard.append(features(book.render(codes)))
        songs.append(song)
    return heard, songs


def is_tempo_right(heard_bpm: float, wanted_bpm: float) -> bool:
    """Whether a tempo is within the tolerance."""
    return abs(heard_bpm / wanted_bpm - 1) <= TEMPO_TOLERANCE


def _by_attribute(logits: Tensor) -> dict[str, Tensor]:
    """Logits [B, all classes] as those of each attribute [B, its classes]."""
    parts = torch.split(logits, [len(classes) for classes in CLASSES.values()], dim=1)
    return dict(zip(CLASSES, parts, strict=True))


def _stacked(heard: Sequence[Features]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.from_numpy(np.stack([f.mel for f in heard])),
        torch.from_numpy(np.stack([f.tones for f in heard])),
        torch.from_numpy(np.stack([f.onsets for f in heard])),
    )


def _learn_timbres(net: nn.Module, heard: Sequence[Features], songs: Sequence[Brief], *, epochs: int) -> None:
    mel, tones, _ = _stacked(heard)
    right = {name: torch.tensor([class_of(song, name) for song in songs]) for name in CLASSES}

    def loss(rows: Tensor) -> Tensor:
        parts = _by_attribute(net(mel[rows], tones[rows]))
        return torch.stack([F.cross_entropy(part, right[name][rows]) for name, part in parts.items()]).sum()

    _fit(net, loss, count=len(songs), epochs=epochs, rate=2e-3)


def _learn_tempo(net: nn.Module, heard: Sequence[Features], songs: Sequence[Brief], *, epochs: int) -> None:
    _, _, onsets = _stacked(heard)
    wanted = torch.tensor([float(song.tempo_bpm) for song in songs]).log()[:, None]
    near = torch.exp(-(((_TEMPO_BINS - wanted) / _TEMPO_BLUR) ** 2) / 2)
    near = near / near.sum(1, keepdim=True)

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(net(onsets[rows]), near[rows])

    _fit(net, loss, count=len(songs), epochs=epochs, rate=1e-3)


def _fit(
    net: nn.Module,
    loss: Callable[[Tensor], Tensor],
    *,
    count: int,
    epochs: int,
    rate: float,
    batch: int = 64,
) -> None:
    """Lower the loss of `count` clips, which is asked for by the rows of a batch."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.02)
    steps = epochs * (count // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    net.train()
    generator = torch.Generator().manual_seed(0)
    for epoch in range(epochs):
        rows, total = torch.randperm(count, generator=generator), 0.0
        for i in range(count // batch):
            value = loss(rows[i * batch : (i + 1) * batch])
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += value.item()
        log.info("probes: epoch %d of %d, loss %.3f", epoch + 1, epochs, total / (count // batch))
    net.eval()


def ceilings(probes: Probes, heard: Sequence[Features], songs: Sequence[Brief]) -> dict[str, float]:
    """How often each probe is right about the composer's own songs; tempo within its tolerance."""
    verdicts = probes.judge(heard)
    found = {
        name: float(
            np.mean([v.classes[name] == class_of(s, name) for v, s in zip(verdicts, songs, strict=True)])
        )
        for name in CLASSES
    }
    found["tempo"] = float(
        np.mean([is_tempo_right(v.tempo_bpm, s.tempo_bpm) for v, s in zip(verdicts, songs, strict=True)])
    )
    return found
