"""EnCodec's decoder (Défossez et al. 2022): codes to one channel of sound, in float32.

Written against transformers' `EncodecModel`, to whose sound the tests hold it. Weight norm, which
stores each filter as a direction and a length, is multiplied out when the weights are read.

A layer is a function from [C, N] to [C', N']. All but the LSTM look only as far around a sample as
their kernels reach, and the LSTM runs from left to right where the sound is shortest, at one step a
frame. So a long sound is made in pieces that join without a seam: the LSTM hands its state from one
piece to the next, and the layers above it are given the frames around a piece that they look at, and
what they make of those is cut off. The memory that this takes does not grow with the sound. A piece
has other last bits than the same samples of a whole decoding, because sums over other lengths are
taken in another order; a sound of one piece is the whole decoding.

Legend: K codebooks, T frames, C channels of a layer, N samples of a layer, L layers of the LSTM.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name that every torch program gives it
from torch import Tensor

from text2song.model.checkpoint import Read
from text2song.model.shapes import CodecShape, PadMode

Layer = Callable[[Tensor], Tensor]
_State = tuple[Tensor, Tensor]
"""What the LSTM remembers between two frames: its hidden state and its cell, [L, 1, C] each."""
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
        before, after = _padding(self.weight.shape[-1], dilation=self.dilation, is_causal=self.is_causal)
        padded = _pad(x, before=before, after=after, mode=self.pad_mode)
        return F.conv1d(padded, self.weight, self.bias, dilation=self.dilation)

    @property
    def reach(self) -> int:
        """How far it looks to either side, in samples of its own."""
        return _reach(self.weight.shape[-1], dilation=self.dilation, is_causal=self.is_causal)


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

    def __call__(self, x: Tensor, state: _State | None) -> tuple[Tensor, _State]:
        """Go on from `state`, or begin where there is none; answers the state after [C, N], too."""
        steps = x.T[:, None]  # [C, N] to [N, 1, C]
        layers = len(self.weights) // 4
        if state is None:
            state = (steps.new_zeros(layers, 1, x.shape[0]),) * 2
        after, hidden, cell = torch.lstm(
            steps,
            state,
            self.weights,
            has_biases=True,
            num_layers=layers,
            dropout=0.0,
            train=False,
            bidirectional=False,
            batch_first=False,
        )
        return (after + steps)[:, 0].T, (hidden, cell)


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
        self._samples_per_frame = math.prod(shape.ratios)
        self._reach_frames = reach_frames(shape)
        size = (shape.codebook_size, shape.features)
        self._codebooks = tuple(
            read(f"audio_encoder.quantizer.layers.{k}.codebook.embed", size) for k in range(shape.codebooks)
        )
        first = (shape.width, shape.features, shape.kernel)
        self._first = _read_convolution(f"{_LAYERS}.0", first, shape, read)
        self._recurrence = _read_recurrence(f"{_LAYERS}.1", shape, read)
        self._layers = _read_layers(shape, read)

    @torch.inference_mode()
    def render(self, codes: Tensor, *, piece_frames: int) -> Iterator[Tensor]:
        """Codes [K, T] to consecutive pieces of sound [1, n], where the weights are.

        The pieces are of `piece_frames` frames each, and of what is left; joined they are N = T times
        the product of the ratios. Each is computed when it is asked for, from the codes alone.
        """
        frames = codes.shape[1]
        latent = _Latent(codes.to(self._codebooks[0].device), embed=self._embed, run=self._recurrence)
        for start in range(0, frames, piece_frames):
            end = min(start + piece_frames, frames)
            # At an end of the sound there is no more context, and the layers pad as they do for the whole.
            before, after = max(0, start - self._reach_frames), min(frames, end + self._reach_frames)
            x = latent.between(before, after)  # [C, after - before]
            for layer in self._layers:
                x = layer(x)
            first, last = (self._samples_per_frame * (frame - before) for frame in (start, end))
            yield x[:, first:last]

    def _embed(self, codes: Tensor, start: int, end: int) -> Tensor:
        """What the LSTM reads of the frames from `start` to `end`, of all codes [K, T]: [C, end - start]."""
        reach = self._first.reach
        from_frame = max(0, start - reach)
        seen = codes[:, from_frame : end + reach]
        x = self._codebooks[0][seen[0]]  # [T, C]
        for codebook, chosen in zip(self._codebooks[1:], seen[1:], strict=True):
            x = x + codebook[chosen]
        return self._first(x.T)[:, start - from_frame : end - from_frame]


class _Latent:
    """The LSTM's output for some codes [K, T], computed as far as it is asked for, and then forgotten."""

    def __init__(
        self, codes: Tensor, *, embed: Callable[[Tensor, int, int], Tensor], run: _Recurrence
    ) -> None:
        self._codes = codes
        self._embed = embed
        self._run = run
        self._state: _State | None = None
        self._kept: Tensor | None = None
        self._start = self._end = 0  # of what is kept, in frames

    def between(self, start: int, end: int) -> Tensor:
        """[C, end - start]; neither frame may come before the last call's, nor `start` after its end."""
        kept = self._kept
        if kept is None or end > self._end:
            read = self._embed(self._codes, self._end, end)
            fresh, self._state = self._run(read, self._state)
            kept = fresh if kept is None else torch.cat([kept, fresh], dim=1)
        self._kept = kept[:, start - self._start :]
        self._start, self._end = start, end
        return self._kept


def reach_frames(shape: CodecShape) -> int:
    """Frames to either side of a frame that decide its sound, besides what the LSTM remembers.

    Follows one frame's samples back through the layers, from the last convolution to the LSTM.
    """
    low, high = 0, math.prod(shape.ratios) - 1  # first and last sample, at the rate of the layer
    reach = _reach(shape.last_kernel, dilation=1, is_causal=shape.is_causal)
    low, high = low - reach, high + reach
    for ratio in reversed(shape.ratios):
        for index in range(shape.residual_layers):
            dilation = shape.dilation_growth**index
            reach = _reach(shape.residual_kernel, dilation=dilation, is_causal=shape.is_causal)
            low, high = low - reach, high + reach
        # Input i becomes the outputs from i * ratio on, two ratios of them, less what is cut off before.
        cut, _ = _cuts(ratio, shape)
        low, high = (low + cut) // ratio - 1, (high + cut) // ratio
    return max(-low, high)


def _padding(kernel: int, *, dilation: int, is_causal: bool) -> tuple[int, int]:
    """Samples that a convolution needs before and after a sound to keep its length."""
    surplus = (kernel - 1) * dilation
    after = 0 if is_causal else surplus // 2
    return surplus - after, after


def _reach(kernel: int, *, dilation: int, is_causal: bool) -> int:
    """The same for both sides: at an end of the sound, its mirror image turns before into after."""
    return max(_padding(kernel, dilation=dilation, is_causal=is_causal))


def _cuts(ratio: int, shape: CodecShape) -> tuple[int, int]:
    """Samples that an upsampling cuts off before and after."""
    surplus = ratio  # the kernel is two ratios long, of which one is the stride
    after = math.ceil(surplus * shape.trim_right_ratio) if shape.is_causal else surplus // 2
    return surplus - after, after


def _pad(x: Tensor, *, before: int, after: int, mode: PadMode) -> Tensor:
    """Lengthen [C, N] at both ends; where N is too short for its mirror image, with zeros in between."""
    if mode == "constant":
        return F.pad(x, (before, after))
    missing = max(0, max(before, after) - x.shape[-1] + 1)
    mirrored = F.pad(F.pad(x, (0, missing)), (before, after), mode="reflect")
    return mirrored[:, : mirrored.shape[-1] - missing]


def _read_layers(shape: CodecShape, read: Read) -> Sequence[Layer]:
    """The layers above the LSTM in order; their numbers in the file's names count the ELUs, too."""
    layers: list[Layer] = []

    def name() -> str:
        return f"{_LAYERS}.{len(layers) + 2}"  # after the first convolution and the LSTM

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
    before, after = _cuts(ratio, shape)
    return _Upsampling(
        weight=_read_weight(f"{name}.conv", (channels, channels // 2, 2 * ratio), read),
        bias=read(f"{name}.conv.bias", (channels // 2,)),
        ratio=ratio,
        cut_before=before,
        cut_after=after,
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
