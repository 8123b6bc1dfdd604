"""MusicGen from a local folder in Hugging Face format: sentences in, codes and sound out.

The three networks are ours (`t5.py`, `decoder.py`, `encodec.py`), because rows must have seeds, lengths,
sampling and fates of their own, and because importing transformers costs more time than loading a small
model. The tests hold all of it to transformers' own MusicGen.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import torch

from text2song.errors import ModelCorrupt
from text2song.model.arena import CudaRecordings
from text2song.model.batch import Parts, RowBatch
from text2song.model.budget import Budget
from text2song.model.checkpoint import Checkpoint, Read, open_checkpoint
from text2song.model.codec import Codec
from text2song.model.configuration import ModelConfiguration, read_configuration
from text2song.model.decoder import Decoder, module_shapes
from text2song.model.delay import offsets_for
from text2song.model.device import device_title, free_on, usable_device
from text2song.model.footprint import ORDINARY_TOKENS
from text2song.model.manifest import Manifest
from text2song.model.memory import memory_guard, return_holes
from text2song.model.precision import ORACLE, dtypes_on, precision_for
from text2song.model.protocol import ModelInfo
from text2song.model.rack import AdapterRack
from text2song.model.room import Room
from text2song.model.shapes import PIECE_FRAMES
from text2song.model.text import TextReader
from text2song.model.weights import fingerprint

_CHANCES_THREADS: Final = 4
"""One row's chances take a quarter of a millisecond, a step of many rows on a GPU perhaps two."""


class MusicGen:
    """A loaded model; implements `protocol.MusicModel`. One thread at a time may use it."""

    def __init__(self, parts: Parts, *, capacity: int) -> None:
        self._parts = parts
        self._capacity = capacity

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        capacity: int = 8,
        memory_limit_bytes: int | None = None,
        is_oracle: bool = False,
    ) -> Self:
        """Load a model from a folder with config.json, safetensors weights and tokenizer.json.

        `dtype` is a name of `dtypes.PRECISIONS`. `capacity` is how many rows one batch may hold at most, and
        `memory_limit_bytes` what the model may take altogether: weights, rows and the making of sound; None
        for most of what the device has free now. `is_oracle` is for tests: plain products and sound in one
        piece, equal to transformers bit for bit; codes then depend on the company.

        Raises:
            ModelMissing: no such folder, no configuration, or no weights.
            ModelCorrupt: files that are truncated, incomplete, changed or do not fit together.
            ModelUnsupported: another architecture, pickled weights only, a dtype that the device does not
                compute in, a device that is not there, or a processor for which nothing can be compiled.
            OutOfMemory: the weights do not fit; nothing was read of them if that is known beforehand.
        """
        where = usable_device(device)
        configuration = read_configuration(folder)
        shape = configuration.decoder
        precision = ORACLE if is_oracle else precision_for(dtype, device=where)
        if precision.products != "plain":
            from text2song.model.kernels.machine import require_compiler  # noqa: PLC0415  # a GPU needs none

            require_compiler()
        budget = Budget.of(
            configuration, dtype=precision.name, set_bytes=memory_limit_bytes, free_bytes=free_on(where)
        )
        budget.require_weights(str(folder), dtypes=dtypes_on(where))
        rows = budget.capacity(capacity)
        with memory_guard(f"load the model in {folder}"), open_checkpoint(folder) as checkpoint:
            read = _reader(checkpoint, where)
            info = _describe(folder, configuration, dtype=precision.name, device=device_title(where))
            decoder = Decoder(shape, read=read, precision=precision)
            aid = aid_of(decoder, configuration, rows=rows, device=where)
            rows_bytes = budget.rows_bytes
            parts = Parts(
                info=info,
                reader=TextReader(folder, shape=configuration.text_encoder, width=shape.width, read=read),
                decoder=decoder,
                codec=Codec(configuration, read=read, piece_frames=None if is_oracle else PIECE_FRAMES),
                rack=AdapterRack(info.module_shapes, layers=shape.layers, precision=precision),
                room=Room(rows=rows, budget_bytes=rows_bytes and max(0, rows_bytes - aid.arena_bytes)),
                offsets=offsets_for(info.codebooks, channels=info.channels),
                window_frames=configuration.window_frames,
                kept_frames=configuration.kept_frames,
                ahead=aid.ahead,
            )
        return_holes()
        return cls(parts, capacity=rows)

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        return self._parts.info

    @property
    def capacity(self) -> int:
        """Rows that one batch can hold: as many as were asked for, if ordinary ones of that number fit."""
        return self._capacity

    @property
    def adapters(self) -> AdapterRack:
        """The adapters that rows may ask for."""
        return self._parts.rack

    def open_batch(self) -> RowBatch:
        """An empty batch; a model has one at a time."""
        return RowBatch(self._parts)


@dataclass(frozen=True, slots=True)
class Aid:
    """What helps a decoder on a GPU; on a processor nothing."""

    arena_bytes: int = 0
    """What all rows' memory takes there."""
    ahead: Executor | None = None
    """Who draws chances meanwhile."""


def aid_of(decoder: Decoder, configuration: ModelConfiguration, *, rows: int, device: torch.device) -> Aid:
    """On a GPU, let the decoder keep up to `rows` ordinary rows in an arena, and record its steps."""
    if device.type == "cpu":
        return Aid()
    arena_bytes = decoder.record_steps(
        rows=rows,
        steps=configuration.window_frames + configuration.decoder.last_offset,
        tokens=ORDINARY_TOKENS,
        record=CudaRecordings(device),
    )
    return Aid(arena_bytes, ThreadPoolExecutor(_CHANCES_THREADS, "chances"))


def _reader(checkpoint: Checkpoint, device: torch.device) -> Read:
    def read(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return checkpoint.read(name, shape=shape).to(device)

    return read


def _describe(folder: Path, configuration: ModelConfiguration, *, dtype: str, device: str) -> ModelInfo:
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
