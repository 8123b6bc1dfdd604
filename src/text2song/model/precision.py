"""In which numbers the decoder computes: what a person asks for, and what this device is good at.

The text encoder and the codec always compute in float32: a sentence is read once, and bfloat16
convolutions were seen to go wrong on some processors.
"""

from dataclasses import dataclass
from typing import Final

import torch

from text2song.errors import ModelUnsupported
from text2song.model.linear import Backend

AUTO: Final = "auto"
FLOAT32: Final = "float32"
BFLOAT16: Final = "bfloat16"
INT8: Final = "int8"
PRECISIONS: Final = (AUTO, FLOAT32, BFLOAT16, INT8)


@dataclass(frozen=True, slots=True)
class Precision:
    """`numbers` is what flows through the decoder and what its memory holds; `products` how it multiplies."""

    name: str
    numbers: torch.dtype
    products: Backend

    @property
    def number_bytes(self) -> int:
        """Of one number in the decoder's memory."""
        return self.numbers.itemsize


ORACLE: Final = Precision(FLOAT32, torch.float32, "plain")
"""What transformers computes in, bit for bit."""


def precision_for(name: str, *, device: torch.device) -> Precision:
    """The precision of that name on that device; `auto` takes bfloat16 where the device multiplies in it.

    Raises:
        ModelUnsupported: an unknown name, or numbers that this device does not multiply.
    """
    if name not in PRECISIONS:
        raise ModelUnsupported(
            f"The dtype {name!r} is not supported; this version knows {', '.join(PRECISIONS)}.", field="dtype"
        )
    if name == AUTO:
        name = BFLOAT16 if multiplies_bfloat16(device) else FLOAT32
    if name == INT8:
        return _int8(device)
    if name == BFLOAT16 and not _can_bfloat16(device):
        raise ModelUnsupported(
            "The dtype bfloat16 cannot be used: this device does not compute in it. Use float32, or leave "
            "the choice to auto.",
            field="dtype",
        )
    numbers = torch.bfloat16 if name == BFLOAT16 else torch.float32
    return Precision(name, numbers, "packed" if device.type == "cpu" else "plain")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there: by instructions of its own, not by way of float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    has_instructions = torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001  # torch has no public name for it
    return bool(has_instructions) and _can_bfloat16(device)


def _can_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  # as above


def _int8(device: torch.device) -> Precision:
    if device.type != "cpu":
        raise ModelUnsupported(
            "The dtype int8 is for processors; a GPU computes in bfloat16 or float32. Leave the choice to "
            "auto.",
            field="dtype",
        )
    return Precision(INT8, torch.float32, "int8")
