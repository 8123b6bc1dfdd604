"""The decoder's matrix products, in three backends.

`plain` is torch's own product: the oracle, equal to transformers bit for bit, and what a GPU computes; its
last bits depend on how many rows share the product. `packed` and `int8` are the product's path on a
processor: compiled loops over weights that are laid out for it (`kernels/product.py`), whose rows have the
same bits in any company. `int8` reads a quarter of the bytes of float32.
"""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

Backend = Literal["plain", "packed", "int8"]
Product = Callable[[Tensor], Tensor]
"""[R, I] to [R, O]."""


def product(weight: Tensor, *, backend: Backend) -> Product:
    """`x @ weight.T` for a weight [O, I]. Rows are of the weight's dtype if `plain`, else float32."""
    if backend == "plain":
        return lambda x: F.linear(x, weight)
    from text2song.model.kernels.product import few_rows, few_rows_int8  # noqa: PLC0415  # a GPU needs no compiler

    return few_rows(weight) if backend == "packed" else few_rows_int8(weight)
