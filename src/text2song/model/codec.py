"""EnCodec's decoder: codes to sound, one row at a time, in float32.

One row at a time because convolutions over a batch may sum in another order; float32 because
bfloat16 convolutions were seen to go wrong on some processors.

Legend: K codebooks, T frames, C channels, N samples in each channel.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import EncodecConfig, EncodecModel

from text2song.model.checkpoint import Checkpoint
from text2song.model.configuration import ModelConfiguration
from text2song.sound.waveform import Waveform


class Codec:
    """The codec's weights. Stereo is two mono decodings: its codebooks alternate left and right."""

    def __init__(self, checkpoint: Checkpoint, *, configuration: ModelConfiguration) -> None:
        self._channels = configuration.decoder.channels
        self._sample_rate = configuration.sample_rate
        config: dict[str, Any] = configuration.audio_encoder
        self._model = EncodecModel(EncodecConfig(**config))
        self._model.train(mode=False)
        names = checkpoint.names
        aliases = {
            # The name that weight norm had before torch 2, and that published checkpoints still use.
            name: name.replace("parametrizations.weight.original0", "weight_g").replace(
                "parametrizations.weight.original1", "weight_v"
            )
            for name in self._model.state_dict()
            if "parametrizations.weight" in name and f"audio_encoder.{name}" not in names
        }
        checkpoint.fill(self._model, prefix="audio_encoder.", aliases=aliases)

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Waveform:
        """Codes [K, T] as a waveform [C, N], N = T times the samples of a frame."""
        channels = [
            self._decode_channel(codes[channel :: self._channels]) for channel in range(self._channels)
        ]
        return Waveform(pcm=torch.cat(channels).numpy(), sample_rate=self._sample_rate)

    def _decode_channel(self, codes: Tensor) -> Tensor:
        """[K / C, T] to [1, N]."""
        embeddings = self._model.quantizer.decode(codes[:, None])  # [K / C, 1, T] to [1, features, T]
        sound: Tensor = self._model.decoder(embeddings)  # [1, 1, N]
        return sound[0]
