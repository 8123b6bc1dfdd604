"""MusicGen's transformer decoder, one frame at a time, for rows that share nothing but the weights.

Written against transformers' `MusicgenForCausalLM`, whose logits the tests hold it to: with plain
products and one row the difference is zero. Three things make a row independent of its company:
products whose rows come out with the same bits in any batch (see `linear.py`), attention over one row's
memory at its exact length (see `attention.py`), and a key-value memory that belongs to the row. So rows
may be at different steps, and enter or leave between any two.

A row under guidance runs two *streams*: one that reads the sentence, one that reads nothing (the
null stream). transformers gives the null stream a text of zeros; without biases its cross-attention
adds exactly zero, so it is left out.

Legend: B rows, G streams of one row (1 or 2), n columns of one row in one step (1, unless they are known),
N columns of all rows, R columns of all streams, K codebooks, V codes in a codebook, H width, A heads,
D head width, L layers, S steps, E tokens of the sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.arena import Arena, Record, Recorder
from text2song.model.attention import Attention, attention_of
from text2song.model.checkpoint import Read
from text2song.model.footprint import row_bytes
from text2song.model.linear import Product, product
from text2song.model.lora import ModuleName, Updates
from text2song.model.precision import Precision
from text2song.model.shapes import LAYERS, DecoderShape
from text2song.model.track import Company, Run, Track

_LAYER_NORM_EPSILON: Final = 1e-5
_PIECE: Final = 2**15
"""Numbers that torch hands to one thread undivided. A larger tensor is cut by the count of threads, and
where a cut falls inside a vector, its numbers are computed one by one, with other last bits."""


def module_shapes(shape: DecoderShape) -> dict[str, tuple[int, int]]:
    """The decoder's linear modules, by their name in transformers, as (out, in) features."""
    square = (shape.width, shape.width)
    names = {
        f"{attention}.{projection}": square
        for attention in ("self_attn", "encoder_attn")
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj")
    }
    names |= {"fc1": (shape.ffn_width, shape.width), "fc2": (shape.width, shape.ffn_width)}
    return {f"{LAYERS}.{i}.{name}": size for i in range(shape.layers) for name, size in names.items()}


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


class Decoder:
    """The decoder's weights, laid out for one precision."""

    def __init__(self, shape: DecoderShape, *, read: Read, precision: Precision) -> None:
        self._shape = shape
        self._precision = precision
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
        self._head = product(torch.cat(heads), backend=precision.products)  # [R, H] to [R, K V]
        self._arena: Arena | None = None
        self._recorder: Recorder | None = None

    def record_steps(self, *, rows: int, steps: int, tokens: int, record: Record) -> int:
        """Keep up to `rows` rows in an arena, and replay steps that `record` recorded: see `arena.py`.

        Answers the bytes that the arena takes.
        """
        arena = Arena(
            self._shape,
            rows=rows,
            steps=steps,
            tokens=tokens,
            dtype=self._precision.kept,
            device=self._device,
        )
        codebooks = self._shape.codebooks
        self._recorder = Recorder(arena, forward=self._forward, record=record, codebooks=codebooks)
        self._arena = arena
        return arena.size_bytes

    def _tensor(self, read: Read, name: str, shape: tuple[int, ...]) -> Tensor:
        return read(name, shape).to(self._precision.kept)

    def _norm(self, read: Read, name: str) -> _Norm:
        weight, bias = (read(f"{name}.{part}", (self._shape.width,)) for part in ("weight", "bias"))
        return _Norm(weight.to(self._precision.flowing), bias.to(self._precision.flowing))

    def _read_layer(self, read: Read, index: int) -> _Layer:
        name = f"{LAYERS}.{index}"
        width, ffn_width = self._shape.width, self._shape.ffn_width

        def weight(module: str, out_features: int = width, in_features: int = width) -> Tensor:
            return self._tensor(read, f"{name}.{module}.weight", (out_features, in_features))

        def linear(matrix: Tensor) -> Product:
            return product(matrix, backend=self._precision.products)

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
            ffn_up=linear(weight("fc1", ffn_width, width)),
            ffn_down=linear(weight("fc2", width, ffn_width)),
        )

    def track_bytes(self, *, tokens: int, steps: int, is_guided: bool) -> int:
        """What `open_track` for such a row takes, once every step is done; nothing more in an arena."""
        if self._arena is not None and self._arena.fits(steps=steps, tokens=tokens):
            return 0
        dtype = self._precision.name
        return row_bytes(self._shape, dtype=dtype, tokens=tokens, steps=steps, is_guided=is_guided)

    @torch.inference_mode()
    def open_track(
        self, text: Tensor, *, steps: int, is_guided: bool, updates: Updates | None = None
    ) -> Track:
        """A row's memory: for `steps` steps, reading the encoded sentence `text` [E, H].

        The memory is not filled beforehand: where the system hands out small pages, it does so as the row
        grows; large ones hold steps of many heads, and come with the first.
        """
        track = self._placed(steps=steps, tokens=len(text), streams=2 if is_guided else 1)
        track.updates = updates
        text = text.to(self._precision.flowing)
        for layer, place in enumerate(track.cross):
            place[0], place[1] = self._keys_and_values(text, updates, layer)
        return track

    def _placed(self, *, steps: int, tokens: int, streams: int) -> Track:
        """Memory for a row: in the arena, if there is one and the row fits, else its own."""
        if self._arena is not None:
            track = self._arena.open_track(steps=steps, tokens=tokens, streams=streams)
            if track is not None:
                return track
        shape = self._shape
        size = (shape.layers, 2, streams, shape.heads, steps, shape.head_width)
        memory = torch.empty(size, dtype=self._precision.kept, device=self._device)
        cross = memory.new_empty(shape.layers, 2, shape.heads, tokens, shape.head_width)
        return Track(memory=memory, cross=cross, updates=None)

    def _keys_and_values(self, text: Tensor, updates: Updates | None, index: int) -> tuple[Tensor, Tensor]:
        """One layer's keys and values of the sentence: [E, H] to [A, E, D] each."""
        layer = self._layers[index]
        key, value = layer.cross_key(text), layer.cross_value(text)
        if updates is not None:
            whole = (Run(updates, torch.arange(len(text), device=self._device)),)
            key = _updated(key, text, whole, index, "cross_key")
            value = _updated(value, text, whole, index, "cross_value")
        return self._by_head(key).transpose(0, 1), self._by_head(value).transpose(0, 1)

    def _by_head(self, features: Tensor) -> Tensor:
        """[n, H] to [n, A, D]."""
        return features.view(-1, self._shape.heads, self._shape.head_width)

    @torch.inference_mode()
    def step(self, columns: Sequence[Tensor], *, tracks: Sequence[Track]) -> tuple[Tensor, ...]:
        """One step of every row, each at its own position.

        Takes by row the tokens of the step before, [1, K] (the special token at first), or several
        columns [n, K] that are known already and only to be remembered. Answers each row's float32
        logits [G, K, V] after its last column: the conditional stream's first, then the null stream's.
        They are where the weights are, until the next step. Rows whose adapters are the same are
        computed together.
        """
        logits = self._replayed(columns, tracks)
        if logits is None:
            company = Company.of(tracks, counts=[len(each) for each in columns], device=self._device)
            tokens = torch.cat([columns[row] for row in company.order]).to(self._device)
            together = self._forward(tokens, company, attention_of(company, self._precision))
            logits = torch.split(together, [track.streams for track in tracks])
        for track, count in zip(tracks, map(len, columns), strict=True):
            track.step += count
        split = (self._shape.codebooks, self._shape.codebook_size)
        return tuple(row.view(-1, *split) for row in logits)

    def _replayed(self, columns: Sequence[Tensor], tracks: Sequence[Track]) -> Sequence[Tensor] | None:
        """Logits [G, K V] by row; None where this step cannot be replayed."""
        return None if self._recorder is None else self._recorder.step(columns, tracks=tracks)

    def _forward(self, tokens: Tensor, company: Company, attention: Attention) -> Tensor:
        """The readers' tokens [N, K] to float32 logits of each row's streams, [B G, K V]."""
        x = self._embed(tokens, company)  # [R, H]
        for index, layer in enumerate(self._layers):
            x = x + self._attend_to_past(layer.self_norm(x), company, attention, index)
            x = self._read_sentence(x, company, attention, index)
            x = x + self._feed_forward(layer.ffn_norm(x), company, index)
        return self._head(self._last_norm(x[company.last])).float()

    def _embed(self, tokens: Tensor, company: Company) -> Tensor:
        """Tokens [N, K] to [R, H]: the codebooks' embeddings, summed in order, and the position's."""
        flowing = self._precision.flowing
        x = self._embeddings[0][tokens[:, 0]].to(flowing)
        for k in range(1, self._shape.codebooks):
            x = x + self._embeddings[k][tokens[:, k]].to(flowing)
        return (x + self._positions[company.positions].to(flowing))[company.sources]

    def _attend_to_past(self, x: Tensor, company: Company, attention: Attention, index: int) -> Tensor:
        """Self-attention of each row over its own memory; [R, H] to [R, H]."""
        layer = self._layers[index]
        qkv = _updated(layer.qkv(x), x, company.runs, index, "qkv")
        split = qkv.view(-1, 3, self._shape.heads, self._shape.head_width)  # [R, 3, A, D]
        mixed = attention.past(split, layer=index).view_as(x)
        return _updated(layer.self_out(mixed), mixed, company.runs, index, "self_out")

    def _read_sentence(self, x: Tensor, company: Company, attention: Attention, index: int) -> Tensor:
        """Cross-attention of the streams that read a sentence; [R, H], in place."""
        layer = self._layers[index]
        reading = x[: company.readers]  # [N, H]
        normed = layer.cross_norm(reading)
        query = self._for_readers(layer.cross_query, normed, company, index, "cross_query")
        mixed = attention.sentence(self._by_head(query), layer=index).view_as(normed)
        reading += self._for_readers(layer.cross_out, mixed, company, index, "cross_out")
        return x

    def _for_readers(
        self, multiply: Product, x: Tensor, company: Company, index: int, module: ModuleName
    ) -> Tensor:
        """A product for the readers alone, [N, I] to [N, O].

        The plain product's last bits depend on its row count, so the oracle computes as many as there
        are streams, as transformers does, and drops the rest.
        """
        if self._precision.products == "plain":
            y = multiply(x[company.sources])[: company.readers]
        else:
            y = multiply(x)
        return _updated(y, x, company.reading_runs, index, module)

    def _feed_forward(self, x: Tensor, company: Company, index: int) -> Tensor:
        """[R, H] to [R, H] by way of the wide layer."""
        layer = self._layers[index]
        wide = _gelu(_updated(layer.ffn_up(x), x, company.runs, index, "ffn_up"))
        return _updated(layer.ffn_down(wide), wide, company.runs, index, "ffn_down")


def _updated(y: Tensor, x: Tensor, runs: Sequence[Run], index: int, module: ModuleName) -> Tensor:
    """Add to each row's product `y` what its adapters make of `x`; in place."""
    for run in runs:
        if (update := run.updates.layers[index].get(module)) is not None:
            update.add_to(y, x, run.rows)
    return y


def _gelu(x: Tensor) -> Tensor:
    """The exact (erf) GELU, with the same bits in any company and on any number of threads; in place."""
    for piece in torch.split(x, max(1, _PIECE // x.shape[1])):
        torch.ops.aten.gelu_(piece)
    return x


def position_table(positions: int, *, width: int) -> Tensor:
    """Sinusoidal position embeddings [S, H], cosines first (Vaswani et al. 2017, section 3.5)."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half).float() * -(math.log(10_000) / max(1, half - 1)))
    angles = torch.arange(positions).float()[:, None] * frequencies[None]  # [S, H / 2]
    table = torch.cat([angles.cos(), angles.sin()], dim=1)
    return F.pad(table, (0, width % 2))
