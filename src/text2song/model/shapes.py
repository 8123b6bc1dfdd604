"""The numbers that decide which tensors each of MusicGen's three networks has. Needs no torch.

`configuration.py` reads and checks them; the networks take them as given.
"""

from dataclasses import dataclass
from typing import Final, Literal

LAYERS: Final = "decoder.model.decoder.layers"
"""What the names of the decoder's layers begin with."""
PadMode = Literal["reflect", "constant"]
"""What a convolution finds beyond the ends of a sound: its mirror image, or zeros."""
PIECE_FRAMES: Final = 50
"""Frames that the codec makes sound of at once. One second of MusicGen's: at its size an eighth of a gigabyte
beside the weights, and a quarter less work than pieces of five seconds, whose numbers leave the processor's
caches (docs/journal.md)."""


@dataclass(frozen=True, slots=True)
class TextEncoderShape:
    """T5's encoder."""

    layers: int
    width: int
    """Features of a token's state."""
    heads: int
    head_width: int
    """Features of one attention head; heads together may be wider or narrower than the state."""
    ffn_width: int
    is_gated: bool
    """Whether the feed-forward layer is a gated GELU (T5 1.1) instead of a ReLU (T5)."""
    tokens: int
    """Tokens that the vocabulary holds."""
    buckets: int
    """Kinds of distance between two tokens, of both directions together."""
    max_distance: int
    """Tokens this far apart and farther are all of the last kind."""
    norm_epsilon: float


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """MusicGen's transformer."""

    layers: int
    width: int
    """Features of a hidden state."""
    heads: int
    ffn_width: int
    codebooks: int
    channels: int
    codebook_size: int
    """Codes in a codebook; the special token comes after the last one."""
    positions: int
    """Steps that the position table holds."""

    @property
    def head_width(self) -> int:
        """Features of one attention head."""
        return self.width // self.heads

    @property
    def last_offset(self) -> int:
        """Steps by which the last codebook is late (see `delay.py`)."""
        return (self.codebooks - 1) // self.channels

    @property
    def special(self) -> int:
        """The token that stands wherever no code does."""
        return self.codebook_size


@dataclass(frozen=True, slots=True)
class CodecShape:
    """EnCodec's decoder for one channel of sound; its encoder is the mirror image."""

    codebooks: int
    """Of one channel of sound."""
    codebook_size: int
    features: int
    """Of a frame, between the codebooks and the first convolution."""
    filters: int
    """Channels before the last convolution; each upsampling halves them to arrive there."""
    ratios: tuple[int, ...]
    """By how much each upsampling makes the sound longer, in the decoder's order."""
    kernel: int
    last_kernel: int
    residual_kernel: int
    residual_layers: int
    """Residual blocks after each upsampling."""
    dilation_growth: int
    compress: int
    """By how much a residual block is narrower inside."""
    has_conv_shortcut: bool
    """Whether a residual block adds a convolution of its input instead of the input itself."""
    lstm_layers: int
    is_causal: bool
    """Whether a sample depends on nothing after it: all padding then stands before the sound."""
    pad_mode: PadMode
    trim_right_ratio: float
    """The share of an upsampling's surplus that a causal decoder cuts off at the end."""

    @property
    def width(self) -> int:
        """Channels after the first convolution, where the sound is shortest."""
        return self.filters << len(self.ratios)
