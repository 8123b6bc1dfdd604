"""Codes to sound, one row at a time, in float32.

One row at a time because convolutions over a batch may sum in another order; float32 because
bfloat16 convolutions were seen to go wrong on some processors. So the same codes are the same sound,
bit for bit, in any company.

Legend: K codebooks, T frames, C channels, N samples in each channel.
"""

import torch
from torch import Tensor

from text2song.model.checkpoint import Read
from text2song.model.configuration import ModelConfiguration
from text2song.model.encodec import CodecDecoder
from text2song.sound.waveform import Waveform


class Codec:
    """The codec's weights. Stereo is two mono decodings: its codebooks alternate left and right."""

    def __init__(self, configuration: ModelConfiguration, *, read: Read) -> None:
        self._channels = configuration.decoder.channels
        self._sample_rate = configuration.sample_rate
        self._decoder = CodecDecoder(configuration.codec, read=read)

    def decode(self, codes: Tensor) -> Waveform:
        """Codes [K, T] as a waveform [C, N], N = T times the samples of a frame."""
        channels = [
            self._decoder.decode(codes[channel :: self._channels]) for channel in range(self._channels)
        ]
        return Waveform(pcm=torch.cat(channels).cpu().numpy(), sample_rate=self._sample_rate)
