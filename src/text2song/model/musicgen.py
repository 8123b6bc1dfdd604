"""MusicGen from a local folder in Hugging Face format: sentences in, codes and sound out.

The three networks are ours (`t5.py`, `decoder.py`, `encodec.py`), because rows must have seeds, lengths,
sampling and fates of their own, and because importing transformers costs more time than loading a small
model. The tests hold all of it to transformers' own MusicGen.

Legend: B rows, K codebooks, T frames.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch

from text2song.errors import InvalidInput, ModelCorrupt, ModelUnsupported, StudioError
from text2song.model.checkpoint import Checkpoint, Read, open_checkpoint
from text2song.model.codec import Codec
from text2song.model.configuration import ModelConfiguration, read_configuration
from text2song.model.decoder import Decoder, module_shapes
from text2song.model.delay import offsets_for
from text2song.model.device import backend_for, device_title, usable_device
from text2song.model.linear import Backend
from text2song.model.manifest import Manifest
from text2song.model.memory import memory_guard
from text2song.model.protocol import GeneratedTake, ModelInfo, Progress, RowResult, Watch
from text2song.model.row import Row
from text2song.model.text import TextReader
from text2song.model.verdict import accepted
from text2song.model.weights import fingerprint
from text2song.music.spec import GenerationSpec

_DTYPES: Final = {"float32": torch.float32}


class MusicGen:
    """A loaded model; implements `protocol.MusicModel`. One thread at a time may generate."""

    def __init__(
        self, *, info: ModelInfo, reader: TextReader, decoder: Decoder, codec: Codec, capacity: int
    ) -> None:
        self._info = info
        self._reader = reader
        self._decoder = decoder
        self._codec = codec
        self._capacity = capacity
        self._offsets = offsets_for(info.codebooks, channels=info.channels)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        capacity: int = 8,
        backend: Backend | None = None,
    ) -> Self:
        """Load a model from a folder with config.json, safetensors weights and tokenizer.json.

        `capacity` is how many rows one batch may hold. `backend` is the device's own unless a
        test asks for `plain`, the oracle: its codes depend on the company (see `linear.py`).

        Raises:
            ModelMissing: no such folder, no configuration, or no weights.
            ModelCorrupt: files that are truncated, incomplete, changed or do not fit together.
            ModelUnsupported: another architecture, pickled weights only, an unknown dtype, or a device
                that is not there.
            OutOfMemory: the weights do not fit.
        """
        _require(dtype, known=tuple(_DTYPES), name="dtype")
        where = usable_device(device)
        configuration = read_configuration(folder)
        shape = configuration.decoder
        with memory_guard(f"load the model in {folder}"), open_checkpoint(folder) as checkpoint:
            read = _reader(checkpoint, where)
            return cls(
                info=_describe(folder, configuration=configuration, dtype=dtype, device=device_title(where)),
                reader=TextReader(folder, shape=configuration.text_encoder, width=shape.width, read=read),
                decoder=Decoder(
                    shape, read=read, backend=backend or backend_for(where), dtype=_DTYPES[dtype]
                ),
                codec=Codec(configuration, read=read),
                capacity=capacity,
            )

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        return self._info

    @property
    def capacity(self) -> int:
        """Rows that one batch can hold."""
        return self._capacity

    def generate(self, specs: Sequence[GenerationSpec], *, watch: Watch) -> Iterator[RowResult]:
        """Make a take for each spec; see `protocol.MusicModel` for what is promised.

        Raises:
            ValueError: more specs than `capacity`.
            OutOfMemory: the batch does not fit; rows that were not yielded have no result.
        """
        if len(specs) > self._capacity:
            raise ValueError(f"{len(specs)} rows are more than this model's capacity of {self._capacity}")
        return self._generate(specs, watch)

    def _generate(self, specs: Sequence[GenerationSpec], watch: Watch) -> Iterator[RowResult]:
        rows: dict[int, Row] = {}
        frames = [0] * len(specs)
        keep = partial(_keep_wanted, rows, frames, watch)
        unwanted: frozenset[int] = frozenset()
        for index, spec in enumerate(specs):
            unwanted |= keep("composing")  # to read a long sentence takes a while
            if index in unwanted:
                continue
            try:
                rows[index] = self._admit(spec)
            except StudioError as refusal:
                yield RowResult(index, refusal)
        while rows:
            keep("composing")
            for index, error in self._compose(rows):
                row = rows.pop(index, None)
                if row is None:  # dropped while a sibling that ended with it was rendered
                    continue
                if error is not None:
                    yield RowResult(index, error)
                    continue
                frames[index] = row.frames
                if index in keep("rendering"):
                    continue
                outcome = self._render(row)
                if index not in keep("rendering"):
                    yield RowResult(index, outcome)

    def _admit(self, spec: GenerationSpec) -> Row:
        """A row that is ready for its first step.

        Raises:
            InvalidInput: its duration is beyond what the model was trained on, or its sentence too long.
            ModelUnsupported: it asks for adapters.
            OutOfMemory: its memory does not fit.
        """
        info = self._info
        if spec.adapters:
            raise ModelUnsupported(
                "This version plays the bare model only: it cannot load adapters yet. Ask without an adapter."
            )
        if spec.duration_seconds > info.max_duration_seconds:
            raise InvalidInput(
                f"duration is {spec.duration_seconds:g} seconds; {info.id} makes at most "
                f"{info.max_duration_seconds:g}. Ask for less.",
                field="duration",
            )
        frames = info.frames_for(spec.duration_seconds)
        doing = f"compose a take of {spec.duration_seconds:g} seconds"
        with memory_guard(doing):
            track = self._decoder.open_track(
                self._reader.encode(spec.sentence).states,
                steps=frames + max(self._offsets),
                is_guided=spec.sampling.guidance_scale > 1.0,
            )
        return Row(spec, track=track, frames=frames, offsets=self._offsets, special=info.codebook_size)

    @torch.inference_mode()
    def _compose(self, rows: dict[int, Row]) -> list[tuple[int, StudioError | None]]:
        """One step of every row; answers the rows that ended with it, and why where they failed."""
        if not rows:
            return []
        ended: list[tuple[int, StudioError | None]] = []
        with memory_guard(f"compose {len(rows)} takes at once"):
            tokens = torch.stack([row.tokens for row in rows.values()])  # [B, K]
            logits = self._decoder.step(tokens, tracks=[row.track for row in rows.values()])
            for (index, row), row_logits in zip(rows.items(), logits, strict=True):
                try:
                    row.accept(row_logits)
                except StudioError as error:
                    ended.append((index, error))
                    continue
                if row.is_composed:
                    ended.append((index, None))
        return ended

    def _render(self, row: Row) -> GeneratedTake | StudioError:
        """The row's codes as sound, or why there is none."""
        codes = row.codes
        try:
            doing = f"render {row.spec.duration_seconds:g} seconds of sound"
            with memory_guard(doing):
                waveform = accepted(self._codec.decode(codes))
        except StudioError as error:
            return error
        token_ids = self._reader.encode(row.spec.sentence).token_ids
        return GeneratedTake(codes=codes.numpy().astype(np.int16), waveform=waveform, token_ids=token_ids)


def _keep_wanted(rows: dict[int, Row], frames: list[int], watch: Watch, stage: str) -> frozenset[int]:
    """Report the progress, and let the rows go that the watch no longer wants."""
    for index, row in rows.items():
        frames[index] = row.frames_done
    unwanted = frozenset(watch(Progress(stage=stage, frames=tuple(frames))))
    for index in unwanted:
        rows.pop(index, None)
    return unwanted


def _reader(checkpoint: Checkpoint, device: torch.device) -> Read:
    def read(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return checkpoint.read(name, shape=shape).to(device)

    return read


def _require(value: str, *, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        raise ModelUnsupported(
            f"The {name} {value!r} is not supported; this version knows {', '.join(known)}.", field=name
        )


def _describe(folder: Path, *, configuration: ModelConfiguration, dtype: str, device: str) -> ModelInfo:
    manifest = Manifest.read(folder)
    digest = fingerprint(folder)
    if contradiction := manifest.contradiction(digest):
        raise ModelCorrupt(f"{folder} is damaged. {contradiction}")
    shape = configuration.decoder
    return ModelInfo(
        id=manifest.id,
        revision=manifest.revision,
        fingerprint=digest,
        license=manifest.license,
        is_trained=manifest.is_trained,
        sample_rate=configuration.sample_rate,
        frame_rate=configuration.frame_rate,
        channels=shape.channels,
        codebooks=shape.codebooks,
        codebook_size=shape.codebook_size,
        max_duration_seconds=configuration.max_duration_seconds,
        dtype=dtype,
        device=device,
        module_shapes=module_shapes(shape),
        vocabulary=manifest.vocabulary,
    )
