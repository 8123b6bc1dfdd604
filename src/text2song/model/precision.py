"""In which numbers the decoder computes: what a person asks for, and what this device is good at.

The text encoder and the codec always compute in float32: a sentence is read once, and bfloat16
convolutions were seen to go wrong on some processors.

That a row's numbers are the same in any company was measured on a few kinds of processors (see `linear.py`).
So a model that is loaded tries it first, on products of its own shapes: `auto` takes no dtype that fails, and
where none is left, whoever runs the worker is told.

Legend: R rows, I input features, O output features.
"""

import logging
from dataclasses import dataclass
from typing import Final

import torch

from text2song.errors import ModelUnsupported
from text2song.model.dtypes import AUTO, BFLOAT16, DTYPES, FLOAT32, INT8, PRECISIONS
from text2song.model.linear import Backend, product
from text2song.model.shapes import DecoderShape

log = logging.getLogger(__name__)

_COMPANIES: Final = (1, 2, 3, 8, 16, 17, 32)
"""Row counts around which kernels were seen to change."""
_DRAWN_ROWS: Final = 64
"""Of a weight that is tried; the others repeat them, since drawing millions of numbers takes longer than the
products."""


@dataclass(frozen=True, slots=True)
class Precision:
    """`numbers` is what flows through the decoder and what its memory holds; `products` how it multiplies."""

    name: str
    numbers: torch.dtype
    products: Backend


ORACLE: Final = Precision(FLOAT32, torch.float32, "plain")
"""What transformers computes in, bit for bit."""


def precision_for(name: str, *, device: torch.device, shape: DecoderShape | None = None) -> Precision:
    """The precision of that name on that device; `auto` takes bfloat16 where the device multiplies in it.

    With the decoder's `shape`, products of its sizes are tried in company first, which takes some tenths of a
    second: `auto` then takes bfloat16 only where it passes, and a dtype that fails is told in the log, not
    refused.

    Raises:
        ModelUnsupported: an unknown name, or numbers that this device does not multiply.
    """
    if name not in PRECISIONS:
        raise ModelUnsupported(
            f"The dtype {name!r} is not supported; this version knows {', '.join(PRECISIONS)}.", field="dtype"
        )
    if name == AUTO:
        return _best_of(device, shape)
    chosen = _named(name, device)
    if not _is_steady(chosen, shape):
        log.warning(
            "%s products depend on their company on this processor: a seed's codes may then depend on the "
            "takes that are made beside it. TEXT2SONG_CAPACITY=1 makes each alone.",
            chosen.name,
        )
    return chosen


def _best_of(device: torch.device, shape: DecoderShape | None) -> Precision:
    if multiplies_bfloat16(device):
        fast = _named(BFLOAT16, device)
        if _is_steady(fast, shape):
            return fast
        log.info("bfloat16 products depend on their company on this processor: computing in float32")
    return precision_for(FLOAT32, device=device, shape=shape)


def dtypes_on(device: torch.device) -> tuple[str, ...]:
    """The dtypes that the device computes in, fast or not."""
    is_known = {FLOAT32: True, BFLOAT16: _can_bfloat16(device), INT8: device.type == "cpu"}
    return tuple(dtype for dtype in DTYPES if is_known[dtype])


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there: by instructions of its own, not by way of float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    has_instructions = torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001  # torch has no public name for it
    return bool(has_instructions) and _can_bfloat16(device)


def company_holds(precision: Precision, shape: DecoderShape) -> bool:
    """Whether rows of this decoder's largest products come out with the same bits in any company.

    Each of `_COMPANIES` is compared with the same rows of the largest one, which stand elsewhere there.
    """
    chance = torch.Generator().manual_seed(0)
    width, ffn_width = shape.width, shape.ffn_width
    sizes = ((3 * width, width), (ffn_width, width), (width, ffn_width))
    return all(_rows_hold(out, into, precision, chance) for out, into in sizes)


def _rows_hold(out_features: int, in_features: int, precision: Precision, chance: torch.Generator) -> bool:
    drawn = torch.randn(min(_DRAWN_ROWS, out_features), in_features, generator=chance)
    weight = drawn.repeat(-(-out_features // len(drawn)), 1)[:out_features]  # [O, I]
    multiply = product((weight * in_features**-0.5).to(precision.numbers), backend=precision.products)
    rows = torch.randn(max(_COMPANIES), in_features, generator=chance).to(precision.numbers)  # [R, I]
    expected = multiply(rows)  # [R, O]
    return all(torch.equal(multiply(rows[-count:]), expected[-count:]) for count in _COMPANIES)


def _is_steady(precision: Precision, shape: DecoderShape | None) -> bool:
    """True also where nothing is promised: of plain products, on a GPU."""
    return shape is None or precision.products == "plain" or company_holds(precision, shape)


def _named(name: str, device: torch.device) -> Precision:
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
