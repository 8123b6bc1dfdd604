"""One take in the making: its codes so far, its place in the decoder, its own source of chance.

Legend: K codebooks, T frames, S columns of the delayed sequence, G streams (2 under guidance), V codes.
"""

import torch
from torch import Tensor

from text2song.errors import ModelOutputRejected
from text2song.model.decoder import Track
from text2song.model.delay import columns_for, real_codes, undelayed
from text2song.model.sampling import draw, generator_for, guided
from text2song.music.spec import GenerationSpec


class Row:
    """Knows when it is done; everything in it is a function of its specification alone."""

    def __init__(
        self, spec: GenerationSpec, *, track: Track, frames: int, offsets: tuple[int, ...], special: int
    ) -> None:
        self.spec = spec
        self.track = track
        self.frames = frames
        self._offsets = offsets
        self._special = special
        self._generator = generator_for(spec.seed)
        columns = columns_for(frames, offsets=offsets)
        self._steps = torch.full((len(offsets), columns), special)  # [K, S]

    @property
    def frames_done(self) -> int:
        """Frames whose K codes are all drawn."""
        return max(0, self.track.step - max(self._offsets))

    @property
    def is_composed(self) -> bool:
        """Whether every code is drawn."""
        return self.track.step == self._steps.shape[1] - 1

    @property
    def tokens(self) -> Tensor:
        """What the decoder reads next: [K]."""
        return self._steps[:, self.track.step]

    @property
    def codes(self) -> Tensor:
        """[K, T]; complete once the row is composed."""
        return undelayed(self._steps, offsets=self._offsets)

    def accept(self, logits: Tensor) -> None:
        """Draw the codes of the step that the decoder just did; logits are [G, K, V].

        Every codebook draws at every step, also where the pattern keeps the special token: so does
        transformers, and the generator must stay in step with it.

        Raises:
            ModelOutputRejected: the logits are not numbers.
        """
        sampling = self.spec.sampling
        combined = logits[0]
        if len(logits) == 2:
            combined = guided(logits[0], logits[1], scale=sampling.guidance_scale)
        if not combined.isfinite().all():
            raise ModelOutputRejected(
                "The model's numbers overflowed (NaN or infinite logits). Try a lower guidance_scale; if it "
                "keeps happening, the model's weights or its adapter are damaged."
            )
        column = self.track.step
        drawn = draw(combined, params=sampling, generator=self._generator)
        is_real = torch.tensor(real_codes(column, frames=self.frames, offsets=self._offsets))
        self._steps[:, column] = drawn.where(is_real, self._special)
