"""MusicGen's transformer decoder, one frame at a time, for rows that share nothing but the weights.

Written against transformers' `MusicgenForCausalLM`, whose logits the tests hold it to: with plain
products and one row the difference is zero. Three things make a row independent of its company:
products whose rows come out with the same bits in any batch (see `linear.py`), attention that is
computed for one row on its exact length, and a key-value memory that belongs to the row. So rows
may be at different steps, and enter or leave between any two.

A row under guidance runs two *streams*: one that reads the sentence, one that reads nothing (the
null stream). transformers gives the null stream a text of zeros; without biases its cross-attention
adds exactly zero, so it is left out.

Legend: B rows, R streams (1 or 2 a row), G streams of one row, K codebooks, V codes in a codebook,
H width, A heads, D head width, L layers, S steps, E tokens of the sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.checkpoint import Read
from text2song.model.linear import Backend, Product, product
from text2song.model.shapes import DecoderShape

_LAYER_NORM_EPSILON = 1e-5
_LAYERS = "decoder.model.decoder.layers"


def module_shapes(shape: DecoderShape) -> dict[str, tuple[int, int]]:
    """The decoder's linear modules, by their name in transformers, as (out, in) features."""
    square = (shape.width, shape.width)
    names = {
        f"{attention}.{projection}": square
        for attention in ("self_attn", "encoder_attn")
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj")
    }
    names |= {"fc1": (shape.ffn_width, shape.width), "fc2": (shape.width, shape.ffn_width)}
    return {f"{_LAYERS}.{i}.{name}": size for i in range(shape.layers) for name, size in names.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Norm:
    """A layer norm over H."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, _LAYER_NORM_EPSILON)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One decoder layer's weights, ready to run."""

    self_norm: _Norm
    qkv: Product
    """The three projections of self-attention in one product: [R, H] to [R, 3 H]."""
    self_out: Product
    cross_norm: _Norm
    cross_query: Product
    cross_key: Product
    cross_value: Product
    cross_out: Product
    ffn_norm: _Norm
    ffn_up: Product
    ffn_down: Product


@dataclass(slots=True, eq=False)
class Track:
    """What the decoder remembers of one row; made by `Decoder.open_track`."""

    memory: Tensor
    """Keys and values of every step so far: [L, 2, G, A, S, D]."""
    cross: tuple[tuple[Tensor, Tensor], ...]
    """By layer, keys and values of the sentence: [1, A, E, D]."""
    step: int = 0
    """Steps done: the position of the next one."""

    @property
    def streams(self) -> int:
        """G: 2 under guidance, else 1."""
        return self.memory.shape[2]


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Where each row's streams lie among the R streams of one step."""

    tracks: Sequence[Track]
    spans: tuple[slice, ...]
    readers: Tensor
    """Indices of the streams that read a sentence, one for each row: [B], beside the weights."""

    @classmethod
    def of(cls, tracks: Sequence[Track], *, device: torch.device) -> "_Batch":
        starts, spans = 0, []
        for track in tracks:
            spans.append(slice(starts, starts + track.streams))
            starts += track.streams
        readers = torch.tensor([span.start for span in spans], device=device)
        return cls(tracks=tracks, spans=tuple(spans), readers=readers)


class Decoder:
    """The decoder's weights, laid out for one backend."""

    def __init__(self, shape: DecoderShape, *, read: Read, backend: Backend, dtype: torch.dtype) -> None:
        self._shape = shape
        self._backend = backend
        self._dtype = dtype
        width, rows = shape.width, shape.codebook_size + 1
        embeddings = [
            self._tensor(read, f"decoder.model.decoder.embed_tokens.{k}.weight", (rows, width))
            for k in range(shape.codebooks)
        ]
        self._device = embeddings[0].device
        self._embeddings = tuple(embeddings)  # K tables [V + 1, H]
        self._positions = position_table(shape.positions, width=width).to(embeddings[0])  # [S, H]
        self._layers = tuple(self._read_layer(read, i) for i in range(shape.layers))
        self._last_norm = self._norm(read, "decoder.model.decoder.layer_norm")
        heads = [
            self._tensor(read, f"decoder.lm_heads.{k}.weight", (shape.codebook_size, width))
            for k in range(shape.codebooks)
        ]
        self._head = product(torch.cat(heads), backend=backend)  # [R, H] to [R, K V]

    def _tensor(self, read: Read, name: str, shape: tuple[int, ...]) -> Tensor:
        return read(name, shape).to(self._dtype)

    def _norm(self, read: Read, name: str) -> _Norm:
        size = (self._shape.width,)
        return _Norm(self._tensor(read, f"{name}.weight", size), self._tensor(read, f"{name}.bias", size))

    def _read_layer(self, read: Read, index: int) -> _Layer:
        name = f"{_LAYERS}.{index}"
        width, ffn_width = self._shape.width, self._shape.ffn_width

        def weight(module: str, out_features: int = width, in_features: int = width) -> Tensor:
            return self._tensor(read, f"{name}.{module}.weight", (out_features, in_features))

        def linear(matrix: Tensor, *, gelu: bool = False) -> Product:
            return product(matrix, backend=self._backend, gelu=gelu)

        return _Layer(
            self_norm=self._norm(read, f"{name}.self_attn_layer_norm"),
            qkv=linear(torch.cat([weight(f"self_attn.{p}_proj") for p in "qkv"])),
            self_out=linear(weight("self_attn.out_proj")),
            cross_norm=self._norm(read, f"{name}.encoder_attn_layer_norm"),
            cross_query=linear(weight("encoder_attn.q_proj")),
            cross_key=linear(weight("encoder_attn.k_proj")),
            cross_value=linear(weight("encoder_attn.v_proj")),
            cross_out=linear(weight("encoder_attn.out_proj")),
            ffn_norm=self._norm(read, f"{name}.final_layer_norm"),
            ffn_up=linear(weight("fc1", ffn_width, width), gelu=True),
            ffn_down=linear(weight("fc2", width, ffn_width)),
        )

    @torch.inference_mode()
    def open_track(self, text: Tensor, *, steps: int, is_guided: bool) -> Track:
        """A row's memory: for `steps` steps, reading the encoded sentence `text` [E, H].

        The memory is not filled beforehand: the system hands out its pages as the row grows.
        """
        shape = self._shape
        sizes = (shape.layers, 2, 2 if is_guided else 1, shape.heads, steps, shape.head_width)
        text = text.to(self._dtype)
        cross = tuple(
            (self._by_head(layer.cross_key(text)), self._by_head(layer.cross_value(text)))
            for layer in self._layers
        )
        memory = torch.empty(sizes, dtype=self._dtype, device=self._device)
        return Track(memory=memory, cross=cross)

    def _by_head(self, features: Tensor) -> Tensor:
        """[E, H] to [1, A, E, D]."""
        tokens = features.shape[0]
        split = features.view(tokens, self._shape.heads, self._shape.head_width)
        return split.transpose(0, 1).contiguous()[None]

    @torch.inference_mode()
    def step(self, tokens: Tensor, *, tracks: Sequence[Track]) -> tuple[Tensor, ...]:
        """One step of every row, each at its own position.

        Takes the tokens of the step before, [B, K] (the special token at first), and answers each
        row's float32 logits [G, K, V]: the conditional stream's first, then the null stream's. Both
        are on the processor, where codes are drawn, whatever the weights are on.
        """
        batch = _Batch.of(tracks, device=self._device)
        x = self._embed(tokens.to(self._device), tracks=tracks)  # [R, H]
        for index, layer in enumerate(self._layers):
            x = x + layer.self_out(self._attend_to_past(layer.qkv(layer.self_norm(x)), batch, index))
            x = self._read_sentence(x, layer, batch, index)
            x = x + layer.ffn_down(layer.ffn_up(layer.ffn_norm(x)))
        logits = self._head(self._last_norm(x)).float().cpu()
        logits = logits.view(-1, self._shape.codebooks, self._shape.codebook_size)  # [R, K, V]
        for track in tracks:
            track.step += 1
        return tuple(logits[span] for span in batch.spans)

    def _embed(self, tokens: Tensor, *, tracks: Sequence[Track]) -> Tensor:
        """Tokens [B, K] to [R, H]: the codebooks' embeddings, summed in order, and the position's."""
        x = self._embeddings[0][tokens[:, 0]]
        for k in range(1, self._shape.codebooks):
            x = x + self._embeddings[k][tokens[:, k]]
        steps = torch.tensor([track.step for track in tracks], device=self._device)
        owners = [row for row, track in enumerate(tracks) for _ in range(track.streams)]
        return (x + self._positions[steps])[torch.tensor(owners, device=self._device)]

    def _attend_to_past(self, qkv: Tensor, batch: _Batch, index: int) -> Tensor:
        """Self-attention of each row over its own memory: [R, 3 H] to [R, H]."""
        qkv = qkv.view(-1, 3, self._shape.heads, self._shape.head_width)  # [R, 3, A, D]
        parts = []
        for track, span in zip(batch.tracks, batch.spans, strict=True):
            query, key, value = qkv[span].unbind(1)  # [G, A, D] each
            keys, values = track.memory[index]  # [G, A, S, D] each
            keys[:, :, track.step] = key
            values[:, :, track.step] = value
            past = slice(track.step + 1)
            mixed = F.scaled_dot_product_attention(query.unsqueeze(2), keys[:, :, past], values[:, :, past])
            parts.append(mixed.reshape(track.streams, -1))  # [G, A, 1, D] to [G, H]
        return torch.cat(parts)

    def _read_sentence(self, x: Tensor, layer: _Layer, batch: _Batch, index: int) -> Tensor:
        """Cross-attention of the streams that read a sentence; [R, H] to [R, H]."""
        normed = layer.cross_norm(x)
        query = self._for_readers(layer.cross_query, normed, batch)  # [B, H]
        query = query.view(-1, 1, self._shape.heads, 1, self._shape.head_width)  # [B, 1, A, 1, D]
        parts = [
            F.scaled_dot_product_attention(query[row], *track.cross[index]).reshape(1, -1)
            for row, track in enumerate(batch.tracks)
        ]
        mixed = torch.zeros_like(x).index_copy(0, batch.readers, torch.cat(parts))  # [R, H]
        added = self._for_readers(layer.cross_out, mixed, batch)  # [B, H]
        return x.index_copy(0, batch.readers, x[batch.readers] + added)

    def _for_readers(self, run: Product, x: Tensor, batch: _Batch) -> Tensor:
        """A product for the reading streams only: [R, H] to [B, H].

        The plain product's last bits depend on its row count, so the oracle computes every stream,
        as transformers does, and drops the rest.
        """
        if self._backend == "plain":
            return run(x)[batch.readers]
        return run(x[batch.readers])


def position_table(positions: int, *, width: int) -> Tensor:
    """Sinusoidal position embeddings [S, H], cosines first (Vaswani et al. 2017, section 3.5)."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half).float() * -(math.log(10_000) / (half - 1)))
    angles = torch.arange(positions).float()[:, None] * frequencies[None]  # [S, H / 2]
    table = torch.cat([angles.cos(), angles.sin()], dim=1)
    return F.pad(table, (0, width % 2))
