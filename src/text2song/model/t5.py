"""T5's encoder (Raffel et al. 2020): tokens of one sentence to their states, in float32.

Written against transformers' `T5EncoderModel`, to whose states the tests hold it. One sentence at a
time and whole, so there is no padding and no mask. What is unusual about T5: its norms neither
subtract a mean nor add anything, no product has a bias, attention is not scaled by the head's width,
and where a token stands is told by one table of distances, which the first layer holds for all.

Legend: E tokens, H width, A heads, D head width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.checkpoint import Read
from text2song.model.shapes import TextEncoderShape

_BLOCKS = "text_encoder.encoder.block"


@dataclass(frozen=True, slots=True, eq=False)
class _Norm:
    """Scales each token's features to a root mean square of 1, then by their weights."""

    weight: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon))


@dataclass(frozen=True, slots=True, eq=False)
class _FeedForward:
    """Wide and narrow again: through a ReLU, or through a GELU that gates a second product."""

    up: Tensor
    gated: Tensor | None
    down: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        wide = F.linear(x, self.up)
        if self.gated is None:
            return F.linear(F.relu(wide), self.down)
        return F.linear(F.gelu(wide, approximate="tanh") * F.linear(x, self.gated), self.down)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One layer's weights."""

    attention_norm: _Norm
    query: Tensor
    key: Tensor
    value: Tensor
    out: Tensor
    ffn_norm: _Norm
    ffn: _FeedForward


class TextEncoder:
    """The encoder's weights."""

    def __init__(self, shape: TextEncoderShape, *, read: Read) -> None:
        self._shape = shape
        self._embeddings = read("text_encoder.shared.weight", (shape.tokens, shape.width))
        self._layers = tuple(_read_layer(f"{_BLOCKS}.{i}", shape, read) for i in range(shape.layers))
        table = f"{_BLOCKS}.0.layer.0.SelfAttention.relative_attention_bias.weight"
        self._distance_biases = read(table, (shape.buckets, shape.heads))
        self._last_norm = _read_norm("text_encoder.encoder.final_layer_norm", shape, read)

    @torch.inference_mode()
    def encode(self, tokens: Tensor) -> Tensor:
        """Token ids [E] to states [E, H]."""
        device = self._embeddings.device
        x = self._embeddings[tokens.to(device)]
        kinds = distance_kinds(
            len(tokens), buckets=self._shape.buckets, max_distance=self._shape.max_distance
        )
        bias = self._distance_biases[kinds.to(device)].permute(2, 0, 1)  # [E, E, A] to [A, E, E]
        for layer in self._layers:
            x = x + self._attend(layer, layer.attention_norm(x), bias)
            x = x + layer.ffn(layer.ffn_norm(x))
        return self._last_norm(x)

    def _attend(self, layer: _Layer, x: Tensor, bias: Tensor) -> Tensor:
        """Every token to every token, both ways; [E, H] to [E, H]."""
        query, key, value = (self._by_head(F.linear(x, w)) for w in (layer.query, layer.key, layer.value))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None], scale=1.0)
        return F.linear(mixed[0].transpose(0, 1).reshape(len(x), -1), layer.out)

    def _by_head(self, features: Tensor) -> Tensor:
        """[E, A D] to [1, A, E, D]."""
        return features.view(-1, self._shape.heads, self._shape.head_width).transpose(0, 1)[None]


def distance_kinds(tokens: int, *, buckets: int, max_distance: int) -> Tensor:
    """Which row of the table tells how token e (row) sees token f (column): int64 [E, E].

    Half of the rows are for what comes later. Of each half, the first half holds one distance each;
    the others share the distances up to `max_distance` in logarithmic steps (section 2.1). In float32
    throughout, because a step's edge may fall on a whole distance, and the weights were trained so.
    """
    places = torch.arange(tokens)
    offsets = places[None] - places[:, None]
    half = buckets // 2
    exact = half // 2
    far = torch.log(offsets.abs().clamp(min=exact).float() / exact) / math.log(max_distance / exact)
    steps = (exact + (far * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(offsets.abs() < exact, offsets.abs(), steps) + half * (offsets > 0)


def _read_norm(name: str, shape: TextEncoderShape, read: Read) -> _Norm:
    return _Norm(read(f"{name}.weight", (shape.width,)), shape.norm_epsilon)


def _read_layer(name: str, shape: TextEncoderShape, read: Read) -> _Layer:
    inside = shape.heads * shape.head_width
    attention, ffn = f"{name}.layer.0.SelfAttention", f"{name}.layer.1.DenseReluDense"
    wide = (shape.ffn_width, shape.width)
    return _Layer(
        attention_norm=_read_norm(f"{name}.layer.0.layer_norm", shape, read),
        query=read(f"{attention}.q.weight", (inside, shape.width)),
        key=read(f"{attention}.k.weight", (inside, shape.width)),
        value=read(f"{attention}.v.weight", (inside, shape.width)),
        out=read(f"{attention}.o.weight", (shape.width, inside)),
        ffn_norm=_read_norm(f"{name}.layer.1.layer_norm", shape, read),
        ffn=_FeedForward(
            up=read(f"{ffn}.wi_0.weight" if shape.is_gated else f"{ffn}.wi.weight", wide),
            gated=read(f"{ffn}.wi_1.weight", wide) if shape.is_gated else None,
            down=read(f"{ffn}.wo.weight", (shape.width, shape.ffn_width)),
        ),
    )
