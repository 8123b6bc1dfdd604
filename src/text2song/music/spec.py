"""The specification of one take: all that determines its codes, given a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from text2song.errors import InvalidInput
from text2song.music.attributes import DURATION_RANGE_SECONDS
from text2song.music.sampling import SamplingParams, require_seed
from text2song.numbers import require_number


@dataclass(frozen=True, slots=True)
class AdapterWeight:
    """One LoRA adapter of a composition, by the digest of its bundle, and how strongly it acts."""

    digest: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the weight."""
        weight = require_number(self.weight, name="weight", low=-4.0, high=4.0)
        object.__setattr__(self, "weight", weight)


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """Sentence, seed, duration, sampling and adapters: the same spec gives the same codes, bit for bit.

    `adapters` is empty for the bare model. Stored as JSON beside every sample.
    """

    sentence: str
    seed: int
    duration_seconds: float
    sampling: SamplingParams = field(default_factory=SamplingParams)
    adapters: tuple[AdapterWeight, ...] = ()

    def __post_init__(self) -> None:
        """Check sentence, seed and duration."""
        if not self.sentence:
            raise InvalidInput("the sentence is empty.", field="sentence")
        low, high = DURATION_RANGE_SECONDS
        seconds = require_number(self.duration_seconds, name="duration", low=low, high=high, unit="seconds")
        object.__setattr__(self, "seed", require_seed(self.seed))
        object.__setattr__(self, "duration_seconds", seconds)

    def as_json(self) -> dict[str, Any]:
        """The stored form, under the names of the product's design."""
        return {
            "sentence": self.sentence,
            "seed": self.seed,
            "duration": self.duration_seconds,
            **self.sampling.as_json(),
            "adapters": [{"digest": a.digest, "weight": a.weight} for a in self.adapters],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`."""
        return cls(
            sentence=stored["sentence"],
            seed=stored["seed"],
            duration_seconds=stored["duration"],
            sampling=SamplingParams.from_json(stored),
            adapters=tuple(AdapterWeight(a["digest"], a["weight"]) for a in stored["adapters"]),
        )
