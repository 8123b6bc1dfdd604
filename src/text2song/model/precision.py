"""In which numbers the decoder computes: what a person asks for, and what this device is good at.

The text encoder and the codec always compute in float32: a sentence is read once, and bfloat16
convolutions were seen to go wrong on some processors.
"""

from dataclasses import dataclass
from typing import Final

import torch

from text2song.errors import ModelUnsupported
from text2song.model.dtypes import AUTO, BFLOAT16, DTYPES, FLOAT32, INT8, PRECISIONS
from text2song.model.linear import Backend

_BFLOAT16_GENERATION: Final = (8, 0)
"""NVIDIA's first that multiplies in it: Ampere."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How a decoder multiplies, and which numbers it keeps."""

    name: str
    products: Backend
    kept: torch.dtype
    """Weights, tables, and what is remembered of a row; int8 products round their weights once more."""
    flowing: torch.dtype
    """What goes from one product to the next. On a processor float32: of so few numbers it costs nothing."""


ORACLE: Final = Precision(FLOAT32, "plain", kept=torch.float32, flowing=torch.float32)
"""What transformers computes in, bit for bit."""


def precision_for(name: str, *, device: torch.device) -> Precision:
    """The precision of that name on that device. `auto` is bfloat16 but on GPUs that emulate it.

    Raises:
        ModelUnsupported: an unknown name, or numbers that this device does not multiply.
    """
    if name not in PRECISIONS:
        raise ModelUnsupported(
            f"The dtype {name!r} is not supported; this version knows {', '.join(PRECISIONS)}.", field="dtype"
        )
    if name == AUTO:
        name = BFLOAT16 if _is_fast_in_bfloat16(device) else FLOAT32
    if name not in dtypes_on(device):
        raise ModelUnsupported(_refusal(name), field="dtype")
    kept = torch.bfloat16 if name == BFLOAT16 else torch.float32
    if device.type != "cpu":
        return Precision(name, "plain", kept=kept, flowing=kept)
    products: Backend = "int8" if name == INT8 else "packed"
    return Precision(name, products, kept=kept, flowing=torch.float32)


def dtypes_on(device: torch.device) -> tuple[str, ...]:
    """The dtypes that the device computes in, fast or not: on a processor, all."""
    if device.type == "cpu":
        return DTYPES
    return (FLOAT32, BFLOAT16) if torch.cuda.is_bf16_supported() else (FLOAT32,)


def _is_fast_in_bfloat16(device: torch.device) -> bool:
    """A processor reads half as much for the same product; a GPU needs units for it."""
    return device.type == "cpu" or torch.cuda.get_device_capability(device) >= _BFLOAT16_GENERATION


def _refusal(name: str) -> str:
    if name == INT8:
        return (
            "The dtype int8 is for processors; a GPU computes in bfloat16 or float32. Leave the choice to "
            "auto."
        )
    return (
        "The dtype bfloat16 cannot be used: this device does not compute in it. Use float32, or leave "
        "the choice to auto."
    )
