"""LoRA (Hu et al. 2021): what adapters add to the decoder's products, never merged into its weights.

A product with an adapter is `x @ W.T + x @ down.T @ up.T`: the weights stay as they are, so that rows
with different adapters, and with none, share each step. Adapters that act together are one pair of
factors whose ranks stand behind each other: a function of the request alone, so a row's numbers never
depend on whose adapters are beside it.

Against stacking the adapters of a whole batch, whose reductions then grow with the company, and against
merging, which takes a second and a copy of the weights for each set: see docs/decisions/0012.

Legend: R rows, I input features, O output features, r rank.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.errors import ModelUnsupported
from text2song.model.precision import Precision
from text2song.model.shapes import LAYERS

ModuleName = Literal[
    "qkv", "self_out", "cross_query", "cross_key", "cross_value", "cross_out", "ffn_up", "ffn_down"
]
"""The products of a decoder layer."""
_PRODUCTS: Final[Mapping[ModuleName, tuple[str, ...]]] = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_out": ("self_attn.out_proj",),
    "cross_query": ("encoder_attn.q_proj",),
    "cross_key": ("encoder_attn.k_proj",),
    "cross_value": ("encoder_attn.v_proj",),
    "cross_out": ("encoder_attn.out_proj",),
    "ffn_up": ("fc1",),
    "ffn_down": ("fc2",),
}
"""By product, the modules of transformers that it multiplies as one."""


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """One module's update, `up @ down`, its scaling (alpha / rank, or alpha / sqrt(rank)) multiplied in."""

    down: Tensor
    """[r, I]"""
    up: Tensor
    """[O, r]"""

    @property
    def rank(self) -> int:
        """How many rows `down` and columns `up` has: r."""
        return self.down.shape[0]

    def delta(self) -> Tensor:
        """The update as a matrix [O, I]: what a merge would add to the weight."""
        return self.up @ self.down


def composed(parts: Iterable[tuple[Factors, float]]) -> Factors:
    """The weighted sum of several updates of one module, exactly: ranks behind each other."""
    chosen = [(factors, weight) for factors, weight in parts]
    return Factors(
        down=torch.cat([factors.down for factors, _ in chosen]),
        up=torch.cat([factors.up * weight for factors, weight in chosen], dim=1),
    )


def _side_by_side(parts: Sequence[Factors | None]) -> Factors | None:
    """Updates of modules that read the same input and are multiplied as one: query, key and value.

    They have the same output features. A module without an update gains zeros; None where all are without.
    """
    present = [part for part in parts if part is not None]
    if not present:
        return None
    down, width = torch.cat([part.down for part in present]), len(present[0].up)
    blocks, used = [], 0
    for part in parts:
        block = down.new_zeros(width, len(down))  # [O, sum of r]
        if part is not None:
            block[:, used : used + part.rank] = part.up
            used += part.rank
        blocks.append(block)
    return Factors(down=down, up=torch.cat(blocks))


class Update(Protocol):
    """What a set of adapters adds to one product."""

    def add_to(self, y: Tensor, x: Tensor, rows: Tensor) -> None:
        """Add to the named rows of the product `y` [R, O] what comes of those of `x` [R, I]; in place."""


@dataclass(frozen=True, slots=True, eq=False)
class Updates:
    """All that one set of adapters adds, ready to run. Rows that share it are computed together."""

    layers: tuple[Mapping[ModuleName, Update], ...]
    """By decoder layer, what its products gain; a product that is not there gains nothing."""
    size_bytes: int


def lay_out(modules: Mapping[str, Factors], *, layers: int, precision: Precision) -> Updates:
    """The updates of a set of adapters, by the full names of the modules they change.

    That every name and shape is one of the decoder's is for the caller to have checked (`require_fitting`).
    """

    def layer(index: int) -> dict[ModuleName, Update]:
        laid: dict[ModuleName, Update] = {}
        for name, parts in _PRODUCTS.items():
            factors = _side_by_side([modules.get(f"{LAYERS}.{index}.{part}") for part in parts])
            if factors is not None:
                laid[name] = _update(factors, precision)
        return laid

    return Updates(layers=tuple(layer(index) for index in range(layers)), size_bytes=size_of(modules))


def size_of(modules: Mapping[str, Factors]) -> int:
    """Bytes of an adapter's factors, in float32."""
    return sum(f.down.numel() + f.up.numel() for f in modules.values()) * torch.float32.itemsize


def require_fitting(modules: Mapping[str, Factors], *, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Every module that the factors change is there, in their shape; `shapes` are (out, in) features by name.

    Raises:
        ModelUnsupported: one is not, named; a part that is silently left out would be another adapter.
    """
    for name, factors in modules.items():
        if name not in shapes:
            raise ModelUnsupported(
                f"the adapter changes {name}, which this model does not have: it was made for another one.",
                field="adapter",
            )
        shape = (factors.up.shape[0], factors.down.shape[1])
        if shape != shapes[name] or factors.up.shape[1] != factors.rank:
            raise ModelUnsupported(
                f"the adapter's {name} is {shape[0]} x {shape[1]}, this model's {shapes[name][0]} x "
                f"{shapes[name][1]}: it was made for a model of another size.",
                field="adapter",
            )


@dataclass(frozen=True, slots=True, eq=False)
class _ByTorch:
    """Two of torch's products in float32, whatever the decoder computes in: so narrow ones cost little."""

    factors: Factors

    def add_to(self, y: Tensor, x: Tensor, rows: Tensor) -> None:
        """See `Update`."""
        made = F.linear(F.linear(x[rows].float(), self.factors.down), self.factors.up)
        y.index_add_(0, rows, made.to(y.dtype))


def _update(factors: Factors, precision: Precision) -> Update:
    down, up = factors.down.float(), factors.up.float()
    if precision.products == "plain":
        return _ByTorch(Factors(down, up))
    from text2song.model.kernels.low_rank import LowRank  # noqa: PLC0415  # a GPU needs no compiler

    return LowRank(down=down, up=up)
