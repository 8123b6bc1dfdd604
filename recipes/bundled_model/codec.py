"""An EnCodec whose weights are written down: codes to grains, and grains back to codes, without training.

The decoder. A code's embedding holds the coordinates of its grain in a basis of the grains' most
important directions, and two digits that name the code. The first convolution passes both on, the first
transposed convolution, whose kernel is two frames of its output long, holds the basis itself, and the
rest only lays samples side by side. ELU is made the identity by a bias that keeps its input positive.

The encoder. The digits sound too, as a mark above 15 kHz, some 75 dB below full scale, where grains
have nothing: eight cosines and sines that are whole numbers of cycles in a frame. The encoder reads
them by correlation. So it finds the codes of this codec's own output, and of nothing else.

The LSTMs and the residual blocks are zero, and pass on what they get.

Legend: R directions of the basis, F samples of a frame, C channels at the frame rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import EncodecConfig, EncodecModel

from recipes.bundled_model import brief as briefs
from recipes.bundled_model import scoring
from recipes.bundled_model.dictionary import CODES, Dictionary, K, Stroke
from recipes.bundled_model.tuning import FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE

RATIOS: Final = (8, 5, 5, 5)
FILTERS: Final = 20
CHANNELS: Final = FILTERS * 2 ** len(RATIOS)
"""C; the last one carries a one, which takes back the biases."""
DIGITS: Final = 2
"""Of a code's name."""
BASE: Final = 32
MARKS: Final = DIGITS * K
DIRECTIONS: Final = CHANNELS - 1 - MARKS
"""R"""
MARK_LEVEL: Final = 0.002
"""Length of a digit's mark in a frame, in units of PCM: all eight are -75 dB of full scale."""
_MARK_HERTZ: Final = tuple(15_488 + FRAME_RATE * i for i in range(MARKS // 2))
_QUIET: Final = 1e-4
"""Coordinates are this much smaller in an embedding, so that digits alone decide which code is nearest."""
_CYMBALS_COUNT: Final = 4.0
_LEAST_USE: Final = 1.5e-4
"""What each grain counts at least, as a part of all uses: songs use some of them rarely."""
_LIFT: Final = 16.0
"""Keeps coordinates positive before ELU."""
_SOUND_LIFT: Final = 2.0
"""Keeps samples positive before ELU."""


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """What the codec can sound."""

    directions: NDArray[np.float64]
    """[R, 2 F], orthonormal."""
    marks: NDArray[np.float64]
    """[MARKS, F], orthonormal, and orthogonal to either half of every direction."""
    coordinates: NDArray[np.float64]
    """[K, N, R] of each grain."""
    digits: NDArray[np.float64]
    """[K, N, MARKS], from -1 to 1; zero for silence and for other codebooks' digits."""


def basis(dictionary: Dictionary, uses: NDArray[np.float64]) -> Basis:
    """The directions that lose least of the grains' energy, each grain weighed by its uses [K, N]."""
    marks = _marks()
    halves = dictionary.grains.reshape(K, CODES, 2, FRAME_SAMPLES)
    halves = halves - (halves @ marks.T) @ marks
    grains = halves.reshape(K * CODES, 2 * FRAME_SAMPLES)
    weighed = grains * np.sqrt(uses.reshape(-1, 1) / uses.sum() + _LEAST_USE)
    _, vectors = np.linalg.eigh(weighed.T @ weighed)
    directions = np.ascontiguousarray(vectors[:, : -DIRECTIONS - 1 : -1].T)
    coordinates = (grains @ directions.T).reshape(K, CODES, DIRECTIONS)
    return Basis(
        directions=directions, marks=marks, coordinates=coordinates, digits=_digits(dictionary.sizes)
    )


def uses_in_songs(dictionary: Dictionary, *, count: int) -> NDArray[np.float64]:
    """How often songs use each grain [K, N]. Loud songs count less, soft cymbals more."""
    uses = np.zeros((K, CODES))
    for index in range(count):
        rng = Random(f"uses {index}")
        codes = scoring.perform(briefs.draw(rng), rng, frames=8 * FRAME_RATE)
        energy = np.mean(dictionary.render(codes) ** 2)
        for book in range(K):
            uses[book] += np.bincount(codes[book], minlength=CODES) / energy
    for key, code in dictionary.codes[0].items():
        if isinstance(key, Stroke) and key.drum is None:
            uses[0, code] *= _CYMBALS_COUNT
    return uses


def _marks() -> NDArray[np.float64]:
    t = np.arange(FRAME_SAMPLES) / SAMPLE_RATE
    waves = [wave(2 * np.pi * hertz * t) for hertz in _MARK_HERTZ for wave in (np.cos, np.sin)]
    marks: NDArray[np.float64] = np.stack(waves) * np.sqrt(2 / FRAME_SAMPLES)
    return marks


def _digits(sizes: tuple[int, ...]) -> NDArray[np.float64]:
    digits = np.zeros((K, CODES, MARKS))
    for book, size in enumerate(sizes):
        names = np.arange(1, size)
        for place in range(DIGITS):
            values = names // BASE**place % BASE
            digits[book, 1:size, DIGITS * book + place] = (2 * values + 1) / BASE - 1
    return digits


def configuration() -> EncodecConfig:
    """The shape."""
    bits_of_codebook = np.log2(CODES) * FRAME_RATE
    return EncodecConfig(
        target_bandwidths=[K * bits_of_codebook / 1000],
        sampling_rate=SAMPLE_RATE,
        audio_channels=1,
        hidden_size=CHANNELS,
        num_filters=FILTERS,
        upsampling_ratios=list(RATIOS),
        kernel_size=1,
        last_kernel_size=1,
        residual_kernel_size=1,
        num_residual_layers=1,
        num_lstm_layers=1,
        codebook_size=CODES,
        use_causal_conv=True,
        use_conv_shortcut=False,
    )


@torch.no_grad()
def build(dictionary: Dictionary, uses: NDArray[np.float64]) -> EncodecModel:
    """The codec, ready for transformers."""
    model: Any = EncodecModel(configuration()).eval()  # type: ignore[no-untyped-call] # as all of its parts
    for parameter in model.parameters():
        parameter.zero_()
    for module in model.modules():  # a kernel of nothing has no direction: any will do for its length of zero
        if hasattr(module, "parametrizations"):
            module.parametrizations.weight.original1.fill_(1.0)
    written = basis(dictionary, uses)
    _write_codebooks(model, written, dictionary.sizes)
    _write_decoder(model, written)
    _write_encoder(model, written)
    return cast("EncodecModel", model)


def _write_codebooks(model: Any, written: Basis, sizes: tuple[int, ...]) -> None:
    for book, layer in enumerate(model.quantizer.layers):
        table = np.zeros((CODES, CHANNELS))
        table[:, :DIRECTIONS] = _QUIET * written.coordinates[book]
        table[:, DIRECTIONS : DIRECTIONS + MARKS] = written.digits[book]
        table[sizes[book] :, DIRECTIONS : DIRECTIONS + MARKS] = 8.0  # far from everything: never found
        layer.codebook.embed.copy_(torch.from_numpy(table))
        layer.codebook.embed_avg.zero_()
        layer.codebook.inited.fill_(1.0)
        layer.codebook.cluster_size.zero_()


def _write_decoder(model: Any, written: Basis) -> None:
    convolutions = _convolutions(model.decoder, "EncodecConv1d")
    first, last = convolutions[0], convolutions[-1]
    weight = np.zeros((CHANNELS, CHANNELS, 1))
    carried = DIRECTIONS + MARKS
    weight[range(DIRECTIONS), range(DIRECTIONS), 0] = 1 / _QUIET
    weight[range(DIRECTIONS, carried), range(DIRECTIONS, carried), 0] = MARK_LEVEL
    bias = np.full(CHANNELS, _LIFT)
    bias[-1] = 1.0
    _set(first, weight, bias)
    rising = _convolutions(model.decoder, "EncodecConvTranspose1d")
    waves = np.zeros((carried, 2 * FRAME_SAMPLES))
    waves[:DIRECTIONS] = written.directions
    waves[DIRECTIONS:, :FRAME_SAMPLES] = written.marks
    step = FRAME_SAMPLES // RATIOS[0]
    weight = np.zeros((CHANNELS, CHANNELS // 2, 2 * RATIOS[0]))
    weight[:carried, :step] = waves.reshape(carried, 2 * RATIOS[0], step).transpose(0, 2, 1)
    weight[-1] = -_LIFT * weight[:carried].sum(0)
    _set(rising[0], weight, np.full(CHANNELS // 2, _SOUND_LIFT))
    laid = step
    for layer, ratio in zip(rising[1:], RATIOS[1:], strict=True):
        laid //= ratio
        weight = np.zeros(_shape(layer))
        for place in range(ratio):
            weight[place * laid + np.arange(laid), np.arange(laid), place] = 1
        _set(layer, weight)
    weight = np.zeros(_shape(last))
    weight[0, 0, 0] = 1
    _set(last, weight, np.array([-_SOUND_LIFT]))


def _write_encoder(model: Any, written: Basis) -> None:
    convolutions = [
        c for c in _convolutions(model.encoder, "EncodecConv1d") if c not in _inner(model.encoder)
    ]
    first, *falling, last = convolutions
    weight = np.zeros(_shape(first))
    weight[0, 0, 0] = 1
    bias = np.zeros(len(weight))
    bias[0] = _SOUND_LIFT
    _set(first, weight, bias)
    laid = 1
    for layer, ratio in zip(falling[:-1], reversed(RATIOS[1:]), strict=True):
        weight = np.zeros(_shape(layer))
        for place in range(ratio):
            weight[place * laid + np.arange(laid), np.arange(laid), ratio + place] = 1
        _set(layer, weight)
        laid *= ratio
    weight = np.zeros(_shape(falling[-1]))
    marks = written.marks / MARK_LEVEL
    weight[:MARKS, :laid, RATIOS[0] :] = marks.reshape(MARKS, RATIOS[0], laid).transpose(0, 2, 1)
    bias = np.zeros(CHANNELS)
    bias[:MARKS] = _LIFT - _SOUND_LIFT * marks.sum(1)
    _set(falling[-1], weight, bias)
    weight = np.zeros((CHANNELS, CHANNELS, 1))
    weight[range(DIRECTIONS, DIRECTIONS + MARKS), range(MARKS), 0] = 1
    bias = np.zeros(CHANNELS)
    bias[DIRECTIONS : DIRECTIONS + MARKS] = -_LIFT
    _set(last, weight, bias)


def _convolutions(part: Any, kind: str) -> list[Any]:
    """The convolutions of that kind outside the residual blocks, from first to last."""
    inner = _inner(part)
    return [m for m in part.modules() if type(m).__name__ == kind and m not in inner]


def _inner(part: Any) -> set[Any]:
    blocks = [m for m in part.modules() if type(m).__name__ == "EncodecResnetBlock"]
    return {m for block in blocks for m in block.modules()}


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple(_parameters(layer)["original1"].shape)


def _parameters(layer: Any) -> Mapping[str, Tensor]:
    return dict(layer.conv.parametrizations.weight.named_parameters())


def _set(layer: Any, weight: NDArray[np.float64], bias: NDArray[np.float64] | None = None) -> None:
    """Write a kernel as weight normalisation has it: a direction, and its length for each first index."""
    direction = torch.from_numpy(weight).float()
    length = direction.flatten(1).norm(dim=1)
    direction[length == 0] = 1.0
    parameters = _parameters(layer)
    parameters["original0"].copy_(length.view(-1, 1, 1))
    parameters["original1"].copy_(direction)
    if bias is not None:
        layer.conv.bias.copy_(torch.from_numpy(bias))
