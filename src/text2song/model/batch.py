"""The rows that one model has in the making: each enters, is composed, is rendered, and leaves by itself.

Every `advance` reads at most one sentence, draws one frame of every row that is composed, and renders one
piece of the sound that is due: whoever drives it can answer others in between, let a row go or take one in.

Legend: K codebooks, T frames, C channels, N samples in each channel.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from text2song.errors import InvalidInput, ModelOutputRejected, OutOfMemory, StudioError
from text2song.model.codec import Codec
from text2song.model.decoder import Decoder
from text2song.model.longform import Window, windows_for
from text2song.model.lora import Updates
from text2song.model.memory import memory_guard
from text2song.model.protocol import GeneratedTake, ModelInfo, RowProgress, RowResult, Stage
from text2song.model.rack import AdapterRack
from text2song.model.room import Room
from text2song.model.row import Row
from text2song.model.sampling import draw_together
from text2song.model.text import TextReader
from text2song.model.verdict import accepted
from text2song.music.sampling import SamplingParams
from text2song.music.spec import GenerationSpec
from text2song.sound.waveform import Waveform

log = logging.getLogger(__name__)

_NO_NUMBERS = (
    "The model's numbers overflowed (NaN or infinite logits). Try a lower guidance_scale; if it keeps "
    "happening, the model's weights or its adapter are damaged."
)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A loaded model, as its rows use it."""

    info: ModelInfo
    reader: TextReader
    decoder: Decoder
    codec: Codec
    rack: AdapterRack
    room: Room
    offsets: tuple[int, ...]
    """Of the delay pattern, by codebook."""
    window_frames: int
    """Frames that the model sees at once."""
    kept_frames: int
    """Frames that a next window of a long take begins with."""
    ahead: Executor | None = None
    """Who draws each row's chances while its step is computed elsewhere; None where that is here."""


@dataclass(slots=True, eq=False)
class _Sound:
    """A row whose codes are drawn and become sound."""

    spec: GenerationSpec
    codes: Tensor
    """[K, T]"""
    rest: Iterator[NDArray[np.float32]]
    """Pieces that are still to come, [C, n] each."""
    pieces: list[NDArray[np.float32]] = field(default_factory=list)


class RowBatch:
    """Implements `protocol.Batch`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._numbers = count()
        self._entering: dict[int, GenerationSpec] = {}
        self._composing: dict[int, Row] = {}
        self._rendering: dict[int, _Sound] = {}
        self._is_full = False
        """Whether memory ran out, and no row has ended or left since."""

    @property
    def rows(self) -> Mapping[int, RowProgress]:
        """Every row inside, in the order of entering."""
        progress = {number: RowProgress(Stage.ENTERING, 0) for number in self._entering}
        for number, row in self._composing.items():
            progress[number] = RowProgress(Stage.COMPOSING, row.frames_done)
        for number, sound in self._rendering.items():
            progress[number] = RowProgress(Stage.RENDERING, sound.codes.shape[1])
        return dict(sorted(progress.items()))

    def has_room_for(self, spec: GenerationSpec) -> bool:
        """Whether its memory and its adapters' fit beside those of the rows that are composed, or will be."""
        sitting = self._sitting()
        more = self._bytes_of(spec)
        if spec.adapters not in {each.adapters for each in sitting}:
            more += self._parts.rack.set_bytes(spec.adapters)
        taken = self._bytes_of_all(sitting)
        return self._parts.room.holds(rows=len(sitting), taken_bytes=taken, more_bytes=more)

    def _sitting(self) -> list[GenerationSpec]:
        """The rows that are composed, or will be."""
        return [*self._entering.values(), *(row.spec for row in self._composing.values())]

    def enter(self, spec: GenerationSpec) -> int:
        """Take in a row; its sentence is read at one of the next advances.

        Raises:
            ValueError: there is no room for it.
        """
        if not self.has_room_for(spec):
            raise ValueError("there is no room for another row: ask `has_room_for` first")
        number = next(self._numbers)
        self._entering[number] = spec
        return number

    def leave(self, row: int) -> None:
        """Drop a row, wherever it is."""
        for stage in (self._entering, self._composing, self._rendering):
            stage.pop(row, None)
        self._is_full = False

    def advance(self) -> Sequence[RowResult]:
        """One sentence, one frame of every row, one piece of sound; answers the rows that have their end."""
        results = [*self._open_next(), *self._compose(), *self._render()]
        if results:
            self._is_full = False
        return results

    def _bytes_of_all(self, specs: Sequence[GenerationSpec]) -> int:
        """The memory of rows, of the sets of adapters that they use, and of all adapters that are here."""
        rack = self._parts.rack
        sets = {spec.adapters for spec in specs}
        rows_bytes = sum(map(self._bytes_of, specs))
        return rows_bytes + rack.held_bytes + sum(rack.set_bytes(each) for each in sets)

    def _updates_for(self, spec: GenerationSpec) -> Updates | None:
        """What its adapters add; sets that no row uses any more go where memory is short.

        Raises:
            ModelUnsupported: it asks for adapters that are not here.
        """
        rack = self._parts.rack
        updates = rack.updates_for(spec.adapters)
        tracks = [row.track.updates for row in self._composing.values()]
        used = [each for each in (updates, *tracks) if each is not None]
        idle = rack.idle_bytes(used)
        if idle and not self._parts.room.has_bytes(self._bytes_of_all([*self._sitting(), spec]) + idle):
            rack.shed(used)
        return updates

    def _bytes_of(self, spec: GenerationSpec) -> int:
        """A row's memory while it is composed; 0 for one that will be refused."""
        try:
            tokens = self._parts.reader.count_tokens(spec.sentence)
        except InvalidInput:
            return 0
        steps = self._steps_of(self._windows_of(spec))
        return self._parts.decoder.track_bytes(tokens=tokens, steps=steps, is_guided=is_guided(spec))

    def _windows_of(self, spec: GenerationSpec) -> tuple[Window, ...]:
        parts = self._parts
        frames = parts.info.frames_for(spec.duration_seconds)
        return windows_for(frames, window_frames=parts.window_frames, kept_frames=parts.kept_frames)

    def _steps_of(self, windows: Sequence[Window]) -> int:
        """Steps of the longest window; its last column is drawn, and never read."""
        return max(window.frames for window in windows) + max(self._parts.offsets)

    def _open_next(self) -> Sequence[RowResult]:
        """Bring the row that has waited longest to its first frame, if there is room."""
        is_anyone_else = bool(self._composing or self._rendering)
        has_room = len(self._composing) < self._parts.room.rows and not (self._is_full and is_anyone_else)
        if not self._entering or not has_room:
            return ()
        number = min(self._entering)
        spec = self._entering.pop(number)
        try:
            self._composing[number] = self._opened(spec)
        except OutOfMemory as error:
            return self._begin_anew(number, spec, error)
        except StudioError as refusal:
            return (RowResult(number, refusal),)
        return ()

    def _opened(self, spec: GenerationSpec) -> Row:
        """A row that is ready for its first step.

        Raises:
            InvalidInput: its duration is beyond what the model makes, or its sentence too long.
            ModelUnsupported: it asks for adapters that are not here.
            OutOfMemory: its memory does not fit.
        """
        parts, info = self._parts, self._parts.info
        if spec.duration_seconds > info.max_duration_seconds:
            raise InvalidInput(
                f"duration is {spec.duration_seconds:g} seconds; {info.id} makes at most "
                f"{info.max_duration_seconds:g}. Ask for less.",
                field="duration",
            )
        windows = self._windows_of(spec)
        with memory_guard(f"compose a take of {spec.duration_seconds:g} seconds"):
            track = parts.decoder.open_track(
                parts.reader.encode(spec.sentence).states,
                steps=self._steps_of(windows),
                is_guided=is_guided(spec),
                updates=self._updates_for(spec),
            )
        return Row(
            spec,
            track=track,
            windows=windows,
            offsets=parts.offsets,
            special=info.codebook_size,
            ahead=parts.ahead,
        )

    @torch.inference_mode()
    def _compose(self) -> Sequence[RowResult]:
        """One step of every row; those that are composed go on to become sound."""
        if not self._composing:
            return ()
        numbers, rows = list(self._composing), list(self._composing.values())
        try:
            with memory_guard(f"compose {len(rows)} takes at once"):
                logits = self._parts.decoder.step(
                    [row.columns for row in rows], tracks=[row.track for row in rows]
                )
        except OutOfMemory as error:
            return self._drop_youngest(error)
        failed = self._draw(logits)
        for number, row in zip(numbers, rows, strict=True):
            if number in self._composing and row.is_composed:
                del self._composing[number]
                self._rendering[number] = self._sound_of(row.spec, row.codes)
                self._parts.room.row_composed()
        return failed

    def _draw(self, logits: Sequence[Tensor]) -> Sequence[RowResult]:
        """The codes of the step that was just made; answers the rows that have none."""
        drawing = [
            (number, row, mine)
            for (number, row), mine in zip(self._composing.items(), logits, strict=True)
            if row.is_to_draw
        ]
        codes = _drawn(
            [mine for _, _, mine in drawing],
            sampling=[row.spec.sampling for _, row, _ in drawing],
            chances=[row.chances() for _, row, _ in drawing],
        )
        failed = []
        for (number, row, _), drawn in zip(drawing, codes, strict=True):
            if drawn is None:
                del self._composing[number]
                failed.append(RowResult(number, ModelOutputRejected(_NO_NUMBERS)))
            else:
                row.accept(drawn)
        return failed

    def _render(self) -> Sequence[RowResult]:
        """One piece of the sound of the row that was composed first."""
        if not self._rendering:
            return ()
        number, sound = next(iter(self._rendering.items()))
        try:
            with memory_guard(f"render {sound.spec.duration_seconds:g} seconds of sound"):
                piece = next(sound.rest, None)
                if piece is not None:
                    sound.pieces.append(piece)
                    return ()
                take = self._take_of(sound)
        except OutOfMemory as error:
            self._rendering[number] = self._sound_of(sound.spec, sound.codes)
            if self._composing:
                return self._drop_youngest(error)
            del self._rendering[number]
            return (RowResult(number, error),)
        except StudioError as error:
            del self._rendering[number]
            return (RowResult(number, error),)
        del self._rendering[number]
        return (RowResult(number, take),)

    def _sound_of(self, spec: GenerationSpec, codes: Tensor) -> _Sound:
        return _Sound(spec, codes, self._parts.codec.render(codes))

    def _take_of(self, sound: _Sound) -> GeneratedTake:
        """Raises ModelOutputRejected where nobody would call it sound."""
        pcm = np.concatenate(sound.pieces, axis=1)  # [C, N]
        return GeneratedTake(
            codes=sound.codes.numpy().astype(np.int16),
            waveform=accepted(Waveform(pcm=pcm, sample_rate=self._parts.info.sample_rate)),
            token_ids=self._parts.reader.encode(sound.spec.sentence).token_ids,
        )

    def _drop_youngest(self, error: OutOfMemory) -> Sequence[RowResult]:
        """Let go of the row that entered last; the others go on."""
        number = max(self._composing)
        spec = self._composing.pop(number).spec
        return self._begin_anew(number, spec, error)

    def _begin_anew(self, number: int, spec: GenerationSpec, error: OutOfMemory) -> Sequence[RowResult]:
        """Let a row that does not fit beside the others wait for room; alone, the error is its end."""
        if not self._composing and not self._rendering:
            return (RowResult(number, error),)
        self._is_full = True
        self._parts.room.pinch(rows=len(self._composing) + 1)
        self._entering[number] = spec
        log.warning("out of memory: one take begins anew, %d at once from now on", self._parts.room.rows)
        return ()


def _drawn(
    logits: Sequence[Tensor], *, sampling: Sequence[SamplingParams], chances: Sequence[Tensor]
) -> list[Tensor | None]:
    """The codes of every row; on the processor where a GPU has no memory for that, since the step is done."""
    try:
        with memory_guard("draw codes"):
            return draw_together(logits, sampling=sampling, chances=chances)
    except OutOfMemory:
        return draw_together([each.cpu() for each in logits], sampling=sampling, chances=chances)


def is_guided(spec: GenerationSpec) -> bool:
    """Whether the row runs a null stream beside the one that reads the sentence."""
    return spec.sampling.guidance_scale > 1.0
