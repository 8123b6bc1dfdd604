"""The decoder's matrix products, in two backends.

`plain` is torch's own product: the oracle, equal to transformers bit for bit, but its last bits
depend on how many rows share the product. `packed` is oneDNN with the weight laid out once for
the processor: the product's path on CPU. Its rows come out with the same bits in any company as
soon as there are two of them; alone, oneDNN may pick a kernel that sums in another order (measured
on AVX-512 from 1,536 input features on), so one row is computed as two.

Legend: R rows, I input features, O output features.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

Backend = Literal["plain", "packed"]
Product = Callable[[Tensor], Tensor]
"""[R, I] to [R, O]."""

_PACKING_ROWS = 16
"""The row count that oneDNN is told to expect; the packed layout serves any other."""


def product(weight: Tensor, *, backend: Backend, gelu: bool = False) -> Product:
    """`x @ weight.T` for a weight [O, I], with the exact (erf) GELU after it if asked for."""
    if backend == "plain":
        return _plain(weight, gelu=gelu)
    return _packed(weight, gelu=gelu)


def _plain(weight: Tensor, *, gelu: bool) -> Product:
    def run(x: Tensor) -> Tensor:
        y = F.linear(x, weight)
        return F.gelu(y) if gelu else y

    return run


def _packed(weight: Tensor, *, gelu: bool) -> Product:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _PACKING_ROWS)  # noqa: SLF001  # torch has no public name for it
    post, algorithm = ("gelu", "none") if gelu else ("none", "")

    def run(x: Tensor) -> Tensor:
        rows = x.shape[0]
        company = x if rows > 1 else x.expand(2, -1).contiguous()
        y: Tensor = torch.ops.mkldnn._linear_pointwise(company, packed, None, post, [], algorithm)  # noqa: SLF001  # as above
        return y[:rows]

    return run
