"""The tensors of the untrained model: noise, the same on every machine.

Each comes from Python's Mersenne Twister, seeded with the tensor's name, by way of 16-bit integers and
one exact float32 operation. Our networks say themselves which tensors they want; those that only
transformers asks for (the codec's encoder, the statistics of its codebooks) are listed here.
"""

import math
import random
from typing import Final

import numpy as np
import torch
from torch import Tensor

from text2song.model.configuration import ModelConfiguration
from text2song.model.decoder import Decoder
from text2song.model.encodec import CodecDecoder
from text2song.model.precision import ORACLE
from text2song.model.shapes import CodecShape
from text2song.model.t5 import TextEncoder

_LAST_CONVOLUTION_GAIN: Final = 0.3
"""Found by trial: the sound's level is then about -20 dBFS, its peaks far from full scale."""
_ENCODER: Final = "encoder.layers"
_LENGTH, _DIRECTION = "conv.parametrizations.weight.original0", "conv.parametrizations.weight.original1"
Shapes = dict[str, tuple[int, ...]]


def noise_weights(configuration: ModelConfiguration, *, seed: int) -> dict[str, Tensor]:
    """Every tensor that the configuration demands, under transformers' names."""
    made: dict[str, Tensor] = {}

    def make(name: str, shape: tuple[int, ...]) -> Tensor:
        made[name] = _tensor(name, shape, seed=seed)
        return made[name]

    width, text_width = configuration.decoder.width, configuration.text_encoder.width
    TextEncoder(configuration.text_encoder, read=make)  # each network asks for all that it needs
    make("enc_to_dec_proj.weight", (width, text_width))
    make("enc_to_dec_proj.bias", (width,))
    Decoder(configuration.decoder, read=make, precision=ORACLE)
    CodecDecoder(configuration.codec, read=make)
    made[[name for name in made if name.endswith(_LENGTH)][-1]] *= _LAST_CONVOLUTION_GAIN
    for name, shape in (
        encoder_shapes(configuration.codec) | _statistics_shapes(configuration.codec)
    ).items():
        make(f"audio_encoder.{name}", shape)
    return made


def encoder_shapes(shape: CodecShape) -> Shapes:
    """The tensors of EnCodec's encoder, in transformers' names: the decoder's mirror image."""
    found = _convolution(f"{_ENCODER}.0", (shape.filters, 1, shape.kernel))
    index, channels = 1, shape.filters
    for ratio in reversed(shape.ratios):
        for _ in range(shape.residual_layers):
            found |= _residual(f"{_ENCODER}.{index}", channels, shape)
            index += 1
        found |= _convolution(f"{_ENCODER}.{index + 1}", (2 * channels, channels, 2 * ratio))  # after an ELU
        index, channels = index + 2, 2 * channels
    gates = (4 * channels, channels)
    for layer in range(shape.lstm_layers):
        for side in ("ih", "hh"):
            found[f"{_ENCODER}.{index}.lstm.weight_{side}_l{layer}"] = gates
            found[f"{_ENCODER}.{index}.lstm.bias_{side}_l{layer}"] = gates[:1]
    return found | _convolution(f"{_ENCODER}.{index + 2}", (shape.features, channels, shape.last_kernel))


def _convolution(name: str, size: tuple[int, int, int]) -> Shapes:
    return {
        f"{name}.conv.bias": size[:1],
        f"{name}.{_LENGTH}": (size[0], 1, 1),
        f"{name}.{_DIRECTION}": size,
    }


def _residual(name: str, channels: int, shape: CodecShape) -> Shapes:
    inside = channels // shape.compress
    found = _convolution(f"{name}.block.1", (inside, channels, shape.residual_kernel))
    found |= _convolution(f"{name}.block.3", (channels, inside, 1))
    if shape.has_conv_shortcut:
        found |= _convolution(f"{name}.shortcut", (channels, channels, 1))
    return found


def _statistics_shapes(shape: CodecShape) -> Shapes:
    """What training keeps beside each codebook."""
    sizes: Shapes = {
        "inited": (1,),
        "cluster_size": (shape.codebook_size,),
        "embed_avg": (shape.codebook_size, shape.features),
    }
    return {
        f"quantizer.layers.{k}.codebook.{name}": size
        for k in range(shape.codebooks)
        for name, size in sizes.items()
    }


def _tensor(name: str, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Zeros for a bias, ones for a norm's weights, a filter's length or a count, else noise.

    Of unit variance for what is looked up in a table, of variance 1 / fan-in for what is multiplied with.
    """
    if "bias" in name and "relative" not in name:
        return torch.zeros(shape)
    if "norm" in name or name.endswith((_LENGTH, "inited", "cluster_size")):
        return torch.ones(shape)
    name = name.removesuffix("_avg")  # of a codebook in training, the mean of what became a code
    is_table = "embed" in name or "shared" in name or "relative" in name
    deviation = 1.0 if is_table else 1 / math.sqrt(math.prod(shape[1:]))
    noise = random.Random(f"{seed}:{name}").randbytes(2 * math.prod(shape))  # noqa: S311  # wanted: the same everywhere
    whole = np.frombuffer(noise, dtype="<i2").astype(np.float32)  # uniform, deviation 2**16 / sqrt(12)
    scale = np.float32(deviation * math.sqrt(12) / 2**16)
    return torch.from_numpy(whole * scale).reshape(shape)
