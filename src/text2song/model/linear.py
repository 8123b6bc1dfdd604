"""The decoder's matrix products, in three backends.

`plain` is torch's own product: the oracle, equal to transformers bit for bit, but its last bits
depend on how many rows share the product. `packed` is oneDNN with the weight laid out once for
the processor: the product's path on CPU. Its rows come out with the same bits in any company as
soon as there are two of them; alone, oneDNN may pick a kernel that sums in another order (measured
on AVX-512 from 1,536 input features on), so one row is computed as two; and of bfloat16 no more rows
than one kernel takes are computed at once. `int8` reads a quarter of
the bytes: weights of eight bits with a scale for each output feature, inputs of eight bits with a
scale for each row. One scale for all rows, as torch's own dynamic quantisation has it, would let a
row's neighbours decide how finely it is read.

Legend: R rows, I input features, O output features.
"""

from collections.abc import Callable
from typing import Final, Literal

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

Backend = Literal["plain", "packed", "int8"]
Product = Callable[[Tensor], Tensor]
"""[R, I] to [R, O]."""

_PACKING_ROWS: Final = 16
"""The row count that oneDNN is told to expect; the packed layout serves any other."""
_ROWS_OF_ONE_KERNEL: Final = 32
"""Of bfloat16: beyond it oneDNN takes to AMX where the processor has it, which sums in another order."""
_INT8_MAX: Final = 127
_ZERO_POINT: Final = 128
"""oneDNN's product takes inputs without a sign: what stands for zero is in the middle of their range."""


def product(weight: Tensor, *, backend: Backend) -> Product:
    """`x @ weight.T` for a weight [O, I]."""
    if backend == "plain":
        return lambda x: F.linear(x, weight)
    return _packed(weight) if backend == "packed" else _int8(weight)


def _packed(weight: Tensor) -> Product:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _PACKING_ROWS)  # noqa: SLF001  # torch has no public name for it
    most_rows = _ROWS_OF_ONE_KERNEL if weight.dtype == torch.bfloat16 else None

    def multiply(x: Tensor) -> Tensor:
        if len(x) == 1:
            return multiply(x.expand(2, -1).contiguous())[:1]
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")  # noqa: SLF001  # as above
        return y

    def run(x: Tensor) -> Tensor:
        if most_rows is None or len(x) <= most_rows:
            return multiply(x)
        return torch.cat([multiply(piece) for piece in torch.split(x, most_rows)])

    return run


def _int8(weight: Tensor) -> Product:
    scales = _scales(weight).float()  # [O, 1]
    levels = torch.round(weight.float() / scales).to(torch.int8)
    scales = scales[:, 0].contiguous()
    packed = torch.ops.onednn.qlinear_prepack(levels, None)
    zeros = torch.zeros(len(scales), dtype=torch.int32)

    def run(x: Tensor) -> Tensor:
        row_scales = _scales(x)  # [R, 1]
        rows = torch.div(x, row_scales).round_().add_(_ZERO_POINT).to(torch.uint8)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            rows, 1.0, _ZERO_POINT, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        scaled: Tensor = y.mul_(row_scales)
        return scaled

    return run


def _scales(x: Tensor) -> Tensor:
    """What one level of eight bits is worth in each row: [R, I] to [R, 1]; never zero."""
    scales: Tensor = torch.linalg.vector_norm(x, torch.inf, dim=1, keepdim=True)
    scales.clamp_(min=torch.finfo(torch.float32).tiny * _INT8_MAX).div_(_INT8_MAX)
    return scales
