"""Codes to sound, one row at a time, in float32.

One row at a time because convolutions over a batch may sum in another order; float32 because
bfloat16 convolutions were seen to go wrong on some processors. So the same codes are the same sound,
bit for bit, in any company.

Sound comes in pieces of a second, because a long one in one piece would take gigabytes, and
because its maker has others to look after meanwhile (see `encodec.py` for why they join without a seam).

Legend: K codebooks, T frames, C channels, N samples in each channel, n samples of a piece.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from text2song.model.checkpoint import Read
from text2song.model.configuration import ModelConfiguration
from text2song.model.encodec import CodecDecoder
from text2song.model.shapes import PIECE_FRAMES
from text2song.sound.waveform import Waveform


class Codec:
    """The codec's weights. Stereo is two mono decodings: its codebooks alternate left and right."""

    def __init__(
        self, configuration: ModelConfiguration, *, read: Read, piece_frames: int | None = PIECE_FRAMES
    ) -> None:
        """`piece_frames` is None where a test asks for sound in one piece, the oracle.

        Raises:
            ValueError: pieces of less than one frame.
        """
        if piece_frames is not None and piece_frames < 1:
            raise ValueError(f"a piece has at least one frame, not {piece_frames}")
        self._channels = configuration.decoder.channels
        self._sample_rate = configuration.sample_rate
        self._samples_per_frame = configuration.samples_per_frame
        self._piece_frames = piece_frames
        self._decoder = CodecDecoder(configuration.codec, read=read)

    def render(self, codes: Tensor) -> Iterator[NDArray[np.float32]]:
        """Codes [K, T] as consecutive pieces [C, n] of their waveform, each computed when it is asked for.

        Whoever wants no more of them just stops asking.
        """
        piece_frames = self._piece_frames or max(1, codes.shape[1])
        channels = [
            self._decoder.render(codes[channel :: self._channels], piece_frames=piece_frames)
            for channel in range(self._channels)
        ]
        for pieces in zip(*channels, strict=True):
            yield torch.cat(pieces).cpu().numpy()

    def decode(self, codes: Tensor) -> Waveform:
        """Codes [K, T] as a waveform [C, N], N = T times the samples of a frame."""
        pcm = np.empty((self._channels, codes.shape[1] * self._samples_per_frame), dtype=np.float32)
        done = 0
        for piece in self.render(codes):
            pcm[:, done : done + piece.shape[1]] = piece
            done += piece.shape[1]
        return Waveform(pcm=pcm, sample_rate=self._sample_rate)
