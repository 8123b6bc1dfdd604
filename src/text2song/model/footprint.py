"""What a model takes in memory, computed from its configuration alone. Needs no torch and no weights.

The networks say in their code which tensors they hold; this says how large those are, so that a person
learns before a download, and a worker before it loads, what fits. Tests hold every figure to the tensors
themselves, and the whole to what the system says of a process.

What is counted is what the model alone cannot do without: the program, torch's own memory and the system's
copies of files that it can forget are beside it (`free_memory.py` leaves a share for them).

Legend: E tokens of the sentence, S steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from text2song.model.configuration import ModelConfiguration
from text2song.model.dtypes import BFLOAT16, INT8
from text2song.model.shapes import PIECE_FRAMES, CodecShape, DecoderShape, TextEncoderShape

_FLOAT32_BYTES: Final = 4
_INT8_BYTES_AN_OUTPUT: Final = 4
"""Beside its weights, what each output feature of an int8 product holds: its scale."""
ORDINARY_TOKENS: Final = 64
"""E of an ordinary sentence: some forty words."""
_LAYERS_AT_ONCE: Final = 8
_FILTERS_AT_ONCE: Final = 2
"""While sound is made, so many copies of the largest layer's output and of the largest filters are held.
Fitted, within a quarter, to what processes grew by at MusicGen's width, in pieces of one and two seconds, and
at twice the width; at half the width it is half of that (docs/journal.md)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one model takes in one dtype, all in bytes."""

    text_encoder_bytes: int
    decoder_bytes: int
    codec_bytes: int
    rendering_bytes: int
    """While sound is made, beside the weights: of one piece at a time, however many takes there are."""
    row_bytes: int
    """Of an ordinary row: thirty seconds, guided, with a sentence of `ORDINARY_TOKENS`. A longer one is
    composed window by window and takes no more."""

    @property
    def weights_bytes(self) -> int:
        """Of the three networks."""
        return self.text_encoder_bytes + self.decoder_bytes + self.codec_bytes

    def left_for_rows(self, limit_bytes: int) -> int:
        """What a limit leaves for rows, once weights and sound have theirs; not below zero."""
        return max(0, limit_bytes - self.weights_bytes - self.rendering_bytes)

    def rows_within(self, limit_bytes: int) -> int:
        """Ordinary rows that fit beside each other; 0 where not one does."""
        return self.left_for_rows(limit_bytes) // self.row_bytes


def footprint_of(configuration: ModelConfiguration, *, dtype: str) -> Footprint:
    """`dtype` is a name of `dtypes.DTYPES`."""
    shape = configuration.decoder
    steps = configuration.window_frames + shape.last_offset
    return Footprint(
        text_encoder_bytes=text_encoder_bytes(configuration.text_encoder, width=shape.width),
        decoder_bytes=decoder_bytes(shape, dtype=dtype),
        codec_bytes=codec_bytes(configuration.codec),
        rendering_bytes=rendering_bytes(configuration.codec),
        row_bytes=row_bytes(shape, dtype=dtype, tokens=ORDINARY_TOKENS, steps=steps, is_guided=True),
    )


def row_bytes(shape: DecoderShape, *, dtype: str, tokens: int, steps: int, is_guided: bool) -> int:
    """Keys and values of a row's past, S steps of each stream, and of its sentence's E tokens."""
    past = 2 * (2 if is_guided else 1) * steps
    return shape.layers * shape.width * number_bytes(dtype) * (past + 2 * tokens)


def number_bytes(dtype: str) -> int:
    """Of one number that the decoder keeps; beside int8 products they are float32."""
    return 2 if dtype == BFLOAT16 else _FLOAT32_BYTES


def text_encoder_bytes(shape: TextEncoderShape, *, width: int) -> int:
    """T5 in float32, and the projection to the decoder's `width` where that is another."""
    inside = shape.heads * shape.head_width
    attention = 4 * inside * shape.width
    ffn = (3 if shape.is_gated else 2) * shape.ffn_width * shape.width
    layers = shape.layers * (attention + ffn + 2 * shape.width)
    tables = shape.tokens * shape.width + shape.buckets * shape.heads
    projection = width * shape.width + width if shape.width != width else 0
    return _FLOAT32_BYTES * (layers + tables + shape.width + projection)


def decoder_bytes(shape: DecoderShape, *, dtype: str) -> int:
    """Products in the dtype, tables in the numbers that are kept beside them, norms in float32.

    On a GPU norms beside bfloat16 are bfloat16, too, which is some kilobytes less.
    """
    width, ffn_width = shape.width, shape.ffn_width
    layer = [(3 * width, width), *[(width, width)] * 5, (ffn_width, width), (width, ffn_width)]
    head = (shape.codebooks * shape.codebook_size, width)
    products = shape.layers * sum(_product_bytes(*size, dtype=dtype) for size in layer)
    tables = shape.codebooks * (shape.codebook_size + 1) * width + shape.positions * width
    norms = (3 * shape.layers + 1) * 2 * width
    tables_bytes, norms_bytes = number_bytes(dtype) * tables, _FLOAT32_BYTES * norms
    return products + _product_bytes(*head, dtype=dtype) + tables_bytes + norms_bytes


def _product_bytes(out_features: int, in_features: int, *, dtype: str) -> int:
    if dtype == INT8:
        return out_features * (in_features + _INT8_BYTES_AN_OUTPUT)
    return out_features * in_features * number_bytes(dtype)


def codec_bytes(shape: CodecShape) -> int:
    """EnCodec's decoder in float32, weight norm multiplied out; one for all channels of sound."""
    codebooks = shape.codebooks * shape.codebook_size * shape.features
    filters = sum(out * of_each * kernel + bias for out, of_each, kernel, bias in _filters(shape))
    gates = 4 * shape.width
    recurrence = shape.lstm_layers * 2 * (gates * shape.width + gates)
    return _FLOAT32_BYTES * (codebooks + filters + recurrence)


def rendering_bytes(shape: CodecShape) -> int:
    """What making one piece of sound takes beside the weights."""
    layer, length, channels = shape.width * PIECE_FRAMES, PIECE_FRAMES, shape.width
    for ratio in shape.ratios:
        channels, length = channels // 2, length * ratio
        layer = max(layer, channels * length)
    filters = max(out * of_each * kernel for out, of_each, kernel, _ in _filters(shape))
    return _FLOAT32_BYTES * (_LAYERS_AT_ONCE * layer + _FILTERS_AT_ONCE * filters)


def _filters(shape: CodecShape) -> Iterator[tuple[int, int, int, int]]:
    """Of every convolution the three sizes of its filters, and those of its bias."""
    channels = shape.width
    yield channels, shape.features, shape.kernel, channels
    for ratio in shape.ratios:
        yield channels, channels // 2, 2 * ratio, channels // 2
        channels //= 2
        inside = channels // shape.compress
        for _ in range(shape.residual_layers):
            yield inside, channels, shape.residual_kernel, inside
            yield channels, inside, 1, channels
            if shape.has_conv_shortcut:
                yield channels, channels, 1, channels
    yield 1, channels, shape.last_kernel, 1
