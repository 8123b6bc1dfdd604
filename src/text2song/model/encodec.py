"""EnCodec's decoder (Défossez et al. 2022): codes to one channel of sound, in float32.

Written against transformers' `EncodecModel`, to whose sound the tests hold it. Weight norm, which
stores each filter as a direction and a length, is multiplied out when the weights are read.

A layer is a function from [C, N] to [C', N']. All but the LSTM look only as far around a sample as
their kernels reach, and the LSTM runs from left to right where the sound is shortest, at one step a
frame: what cuts a long sound into pieces needs no other seam than these.

Legend: K codebooks, T frames, C channels of a layer, N samples of a layer.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.checkpoint import Read
from text2song.model.shapes import CodecShape, PadMode

Layer = Callable[[Tensor], Tensor]
_LAYERS = "audio_encoder.decoder.layers"
_FILTER_LENGTH, _FILTER_DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"


@dataclass(frozen=True, slots=True, eq=False)
class _Convolution:
    """Pads, then convolves, so that N stays as it was."""

    weight: Tensor
    bias: Tensor
    dilation: int
    is_causal: bool
    pad_mode: PadMode

    def __call__(self, x: Tensor) -> Tensor:
        surplus = (self.weight.shape[-1] - 1) * self.dilation
        after = 0 if self.is_causal else surplus // 2
        padded = _pad(x, before=surplus - after, after=after, mode=self.pad_mode)
        return F.conv1d(padded, self.weight, self.bias, dilation=self.dilation)


@dataclass(frozen=True, slots=True, eq=False)
class _Upsampling:
    """A transposed convolution that makes `ratio` samples of each, and cuts its surplus off."""

    weight: Tensor
    bias: Tensor
    ratio: int
    cut_before: int
    cut_after: int

    def __call__(self, x: Tensor) -> Tensor:
        longer = F.conv_transpose1d(x, self.weight, self.bias, stride=self.ratio)
        return longer[:, self.cut_before : longer.shape[-1] - self.cut_after]


@dataclass(frozen=True, slots=True, eq=False)
class _Recurrence:
    """An LSTM over time whose input is added to its output."""

    weights: tuple[Tensor, ...]
    """Of each layer four: from the input, from the state, and the biases of both."""

    def __call__(self, x: Tensor) -> Tensor:
        steps = x.T[:, None]  # [C, N] to [N, 1, C]
        layers = len(self.weights) // 4
        start = steps.new_zeros(layers, 1, x.shape[0])
        after, _, _ = torch.lstm(
            steps,
            (start, start),
            self.weights,
            has_biases=True,
            num_layers=layers,
            dropout=0.0,
            train=False,
            bidirectional=False,
            batch_first=False,
        )
        return (after + steps)[:, 0].T


@dataclass(frozen=True, slots=True, eq=False)
class _Residual:
    """Adds what two convolutions make of the input: the first reaches wide, the second only mixes."""

    first: _Convolution
    second: _Convolution
    shortcut: _Convolution | None

    def __call__(self, x: Tensor) -> Tensor:
        added = self.second(F.elu(self.first(F.elu(x))))
        return (x if self.shortcut is None else self.shortcut(x)) + added


class CodecDecoder:
    """The decoder's weights and the codebooks of one channel of sound."""

    def __init__(self, shape: CodecShape, *, read: Read) -> None:
        size = (shape.codebook_size, shape.features)
        self._codebooks = tuple(
            read(f"audio_encoder.quantizer.layers.{k}.codebook.embed", size) for k in range(shape.codebooks)
        )
        self._layers = _read_layers(shape, read)

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [K, T] to sound [1, N], N = T times the product of the ratios, where the weights are."""
        codes = codes.to(self._codebooks[0].device)
        x = self._codebooks[0][codes[0]]  # [T, C]
        for codebook, chosen in zip(self._codebooks[1:], codes[1:], strict=True):
            x = x + codebook[chosen]
        x = x.T
        for layer in self._layers:
            x = layer(x)
        return x


def _pad(x: Tensor, *, before: int, after: int, mode: PadMode) -> Tensor:
    """Lengthen [C, N] at both ends; where N is too short for its mirror image, with zeros in between."""
    if mode == "constant":
        return F.pad(x, (before, after))
    missing = max(0, max(before, after) - x.shape[-1] + 1)
    mirrored = F.pad(F.pad(x, (0, missing)), (before, after), mode="reflect")
    return mirrored[:, : mirrored.shape[-1] - missing]


def _read_layers(shape: CodecShape, read: Read) -> Sequence[Layer]:
    """The decoder's layers in order; their numbers in the file's names count the ELUs, too."""
    layers: list[Layer] = []

    def name() -> str:
        return f"{_LAYERS}.{len(layers)}"

    layers.append(_read_convolution(name(), (shape.width, shape.features, shape.kernel), shape, read))
    layers.append(_read_recurrence(name(), shape, read))
    channels = shape.width
    for ratio in shape.ratios:
        layers.append(F.elu)
        layers.append(_read_upsampling(name(), channels, ratio, shape, read))
        channels //= 2
        for index in range(shape.residual_layers):
            dilation = shape.dilation_growth**index
            layers.append(_read_residual(name(), channels, dilation, shape, read))
    layers.append(F.elu)
    layers.append(_read_convolution(name(), (1, channels, shape.last_kernel), shape, read))
    return layers


def _read_weight(name: str, size: tuple[int, int, int], read: Read) -> Tensor:
    """Filters with weight norm multiplied out (Salimans and Kingma 2016)."""
    length = read(f"{name}.{_FILTER_LENGTH}", (size[0], 1, 1))
    direction = read(f"{name}.{_FILTER_DIRECTION}", size)
    # What torch's own weight norm calls at each use: any other order of these sums has other last bits.
    return torch._weight_norm(direction, length, 0)  # noqa: SLF001


def _read_convolution(
    name: str, size: tuple[int, int, int], shape: CodecShape, read: Read, dilation: int = 1
) -> _Convolution:
    return _Convolution(
        weight=_read_weight(f"{name}.conv", size, read),
        bias=read(f"{name}.conv.bias", size[:1]),
        dilation=dilation,
        is_causal=shape.is_causal,
        pad_mode=shape.pad_mode,
    )


def _read_upsampling(name: str, channels: int, ratio: int, shape: CodecShape, read: Read) -> _Upsampling:
    surplus = ratio  # the kernel is two ratios long, of which one is the stride
    cut_after = math.ceil(surplus * shape.trim_right_ratio) if shape.is_causal else surplus // 2
    return _Upsampling(
        weight=_read_weight(f"{name}.conv", (channels, channels // 2, 2 * ratio), read),
        bias=read(f"{name}.conv.bias", (channels // 2,)),
        ratio=ratio,
        cut_before=surplus - cut_after,
        cut_after=cut_after,
    )


def _read_recurrence(name: str, shape: CodecShape, read: Read) -> _Recurrence:
    gates = 4 * shape.width  # input, forget, cell and output
    sizes = {
        "weight_ih": (gates, shape.width),
        "weight_hh": (gates, shape.width),
        "bias_ih": (gates,),
        "bias_hh": (gates,),
    }
    return _Recurrence(
        tuple(
            read(f"{name}.lstm.{part}_l{layer}", size)
            for layer in range(shape.lstm_layers)
            for part, size in sizes.items()
        )
    )


def _read_residual(name: str, channels: int, dilation: int, shape: CodecShape, read: Read) -> _Residual:
    inside = channels // shape.compress
    wide = (inside, channels, shape.residual_kernel)
    shortcut = None
    if shape.has_conv_shortcut:
        shortcut = _read_convolution(f"{name}.shortcut", (channels, channels, 1), shape, read)
    return _Residual(
        first=_read_convolution(f"{name}.block.1", wide, shape, read, dilation),
        second=_read_convolution(f"{name}.block.3", (channels, inside, 1), shape, read),
        shortcut=shortcut,
    )
