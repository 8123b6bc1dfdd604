"""One take in the making: its codes so far, its place in the decoder, its own source of chance.

A long take is drawn window by window (`longform.py`); each window is a delayed sequence of its own,
whose first frames are known from the window before.

Legend: K codebooks, T frames, S columns of the delayed sequence, V codes.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final

import torch
from torch import Tensor

from text2song.model.delay import delayed, frame_at, undelayed
from text2song.model.longform import Window
from text2song.model.sampling import chances, generator_for
from text2song.model.track import Track
from text2song.music.spec import GenerationSpec

RECALLED_COLUMNS: Final = 32
"""Known columns that one step takes in at once. Part of what a seed means on a GPU: torch's products over
other counts may have other last bits."""


class Row:
    """Knows when it is done; everything in it is a function of its specification alone."""

    def __init__(
        self,
        spec: GenerationSpec,
        *,
        track: Track,
        windows: Sequence[Window],
        offsets: tuple[int, ...],
        special: int,
        ahead: Executor | None = None,
    ) -> None:
        """`ahead` is whom to ask for each step's chances while the step is computed."""
        self.spec = spec
        self.track = track
        self._windows = list(windows)
        self._offsets = offsets
        self._special = special
        self._chances = _Chances(spec.seed, codebooks=len(offsets), codes=special, ahead=ahead)
        self._codes = torch.empty((len(offsets), windows[-1].end), dtype=torch.int64)  # [K, T]
        self._begin(windows[0])

    def _begin(self, window: Window) -> None:
        self._window = window
        self.track.rewind()
        known = self._codes[:, window.start : window.start + window.kept]
        unknown = known.new_full((len(known), window.new_frames), self._special)
        self._steps = delayed(torch.cat([known, unknown], 1), offsets=self._offsets, special=self._special)

    @property
    def frames_done(self) -> int:
        """Frames whose K codes are all drawn."""
        drawn = self.track.step - max(self._offsets)
        return self._window.start + max(self._window.kept, drawn)

    @property
    def columns(self) -> Tensor:
        """What the decoder reads next: one column [1, K], or some of those that are known already."""
        step, known = self.track.step, self._window.kept
        return self._steps[:, step : max(step + 1, min(known, step + RECALLED_COLUMNS))].T

    @property
    def is_composed(self) -> bool:
        """Whether every code is drawn."""
        return self._is_window_full and self._window is self._windows[-1]

    @property
    def codes(self) -> Tensor:
        """[K, T]; complete once the row is composed."""
        return self._codes

    @property
    def _is_window_full(self) -> bool:
        return self.track.step == self._steps.shape[1] - 1

    @property
    def is_to_draw(self) -> bool:
        """Whether the step that the decoder just did gives codes: not where it only recalled columns."""
        return self.track.step > self._window.kept

    def chances(self) -> Tensor:
        """What decides the next draw, [K, V]; asked for once for each.

        Every codebook has its own at every step, also where the pattern keeps the special token or the code
        is known: so does transformers, and the generator must stay in step with it.
        """
        return self._chances.next()

    def accept(self, codes: Tensor) -> None:
        """Keep what was drawn, [K], of the step that the decoder just did."""
        column = self.track.step
        new = range(self._window.kept, self._window.frames)
        is_new = torch.tensor([frame_at(column, offset=offset) in new for offset in self._offsets])
        self._steps[:, column] = codes.where(is_new, self._steps[:, column])
        if self._is_window_full:
            self._keep_window()

    def _keep_window(self) -> None:
        window = self._window
        self._codes[:, window.start : window.end] = undelayed(self._steps, offsets=self._offsets)
        later = [each for each in self._windows if each.start > window.start]
        if later:
            self._begin(later[0])


class _Chances:
    """A row's chances, draw after draw."""

    def __init__(self, seed: int, *, codebooks: int, codes: int, ahead: Executor | None) -> None:
        self._draw = partial(chances, generator_for(seed), codebooks=codebooks, codes=codes)
        self._ahead = ahead
        self._next = ahead.submit(self._draw) if ahead else None

    def next(self) -> Tensor:
        """Those of the next draw."""
        if self._ahead is None or self._next is None:
            return self._draw()
        found = self._next.result()
        self._next = self._ahead.submit(self._draw)
        return found
