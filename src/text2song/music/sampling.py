"""How the next code is drawn from the model's distribution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from text2song.numbers import require_number, require_whole

SEED_LIMIT: Final = 2**32 - 1
"""torch's CPU generator reads the low 32 bits of a seed: beyond, two seeds would make one take."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Sampling temperature, top-k, top-p and classifier-free guidance scale.

    `top_k = 0` keeps every code; `top_p = 1.0` keeps the whole distribution. Where both cut,
    top-k is applied first, then top-p to what remains. The defaults are MusicGen's published ones.
    """

    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 1.0
    guidance_scale: float = 3.0

    def __post_init__(self) -> None:
        """Check every number.

        Raises:
            InvalidInput: with the parameter's name as its field.
        """
        checked = {
            "temperature": require_number(self.temperature, name="temperature", low=0.05, high=5.0),
            "top_k": require_whole(self.top_k, name="top_k", low=0, high=100_000),
            "top_p": require_number(self.top_p, name="top_p", low=0.01, high=1.0),
            "guidance_scale": require_number(self.guidance_scale, name="guidance_scale", low=1.0, high=20.0),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
            "guidance_scale": self.guidance_scale,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`."""
        return cls(
            temperature=stored["temperature"],
            top_k=stored["top_k"],
            top_p=stored["top_p"],
            guidance_scale=stored["guidance_scale"],
        )


def require_seed(value: object) -> int:
    """`value` as a seed: a whole number from 0 to 2**32 - 1."""
    return require_whole(value, name="seed", low=0, high=SEED_LIMIT)
