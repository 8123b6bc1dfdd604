"""Sound in pieces: where they are cut, when they are made, and what they cost.

Legend: K codebooks, T frames, C channels.
"""

import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.figures import RecordFigure
from tests.model.tiny import configured
from text2song.model.checkpoint import open_checkpoint
from text2song.model.codec import Codec
from text2song.model.configuration import read_configuration
from text2song.model.shapes import PIECE_FRAMES

SAMPLES_PER_FRAME = 640
TOLERANCE = 1e-5
"""Of the largest value: float32's rounding, some dozen times. That no seam hides in it, float64 shows
(see `test_encodec.py`)."""
Load = Callable[..., Codec]


@pytest.fixture
def load(noise_folder: Path) -> Load:
    """Loads the noise model's codec, of one or two channels."""

    def loaded(piece_frames: int | None = PIECE_FRAMES) -> Codec:
        with open_checkpoint(noise_folder) as checkpoint:
            return Codec(
                read_configuration(noise_folder),
                read=lambda name, shape: checkpoint.read(name, shape=shape),
                piece_frames=piece_frames,
            )

    return loaded


def drawn(frames: int, *, channels: int) -> Tensor:
    """Codes [K, T], the same for the same length."""
    return torch.randint(0, 2048, (4 * channels, frames), generator=torch.Generator().manual_seed(frames))


def channels_of(folder: Path) -> int:
    return read_configuration(folder).decoder.channels


def test_pieces_are_of_five_seconds_and_join_to_the_waveform(noise_folder: Path, load: Load) -> None:
    codec, channels = load(), channels_of(noise_folder)
    codes = drawn(2 * PIECE_FRAMES + 1, channels=channels)
    pieces = list(codec.render(codes))
    lengths = (PIECE_FRAMES, PIECE_FRAMES, 1)
    assert [piece.shape for piece in pieces] == [(channels, n * SAMPLES_PER_FRAME) for n in lengths]
    waveform = codec.decode(codes)
    assert waveform.sample_rate == 32_000
    assert np.array_equal(waveform.pcm, np.concatenate(pieces, axis=1))
    assert np.array_equal(waveform.pcm, load().decode(codes.clone()).pcm)  # of the codes alone


@pytest.mark.parametrize("frames", [1, 7, PIECE_FRAMES])
def test_a_sound_of_one_piece_has_the_bits_of_the_whole(noise_folder: Path, load: Load, frames: int) -> None:
    codes = drawn(frames, channels=channels_of(noise_folder))
    assert np.array_equal(load().decode(codes).pcm, load(piece_frames=None).decode(codes).pcm)


@pytest.mark.parametrize("piece_frames", [5, PIECE_FRAMES])
def test_a_longer_sound_is_that_of_the_whole_but_for_rounding(
    noise_folder: Path, load: Load, piece_frames: int
) -> None:
    codes = drawn(PIECE_FRAMES + 3, channels=channels_of(noise_folder))
    whole = load(piece_frames=None)
    assert len(list(whole.render(codes))) == 1
    expected = whole.decode(codes).pcm
    assert np.abs(load(piece_frames).decode(codes).pcm - expected).max() < TOLERANCE * np.abs(expected).max()


def test_stereo_is_two_mono_decodings_of_alternate_codebooks(noise_folder: Path, load: Load) -> None:
    codec, channels = load(), channels_of(noise_folder)
    codes = drawn(PIECE_FRAMES + 1, channels=channels)
    pcm = codec.decode(codes).pcm
    for channel in range(channels):
        alone = codes[channel::channels]
        (mono,) = np.concatenate(list(codec.render(alone.repeat_interleave(channels, dim=0))), axis=1)[:1]
        assert np.array_equal(pcm[channel], mono)
    assert len({row.tobytes() for row in pcm}) == channels


def test_a_piece_is_made_when_it_is_asked_for(noise_folder: Path, load: Load) -> None:
    """A code that is not in its codebook breaks the piece that it is in, and none before."""
    codes = drawn(3 * PIECE_FRAMES, channels=channels_of(noise_folder))
    codes[:, -1] = 2048
    pieces = load().render(codes)
    assert len(list(islice(pieces, 2))) == 2
    assert not torch.is_inference_mode_enabled()  # between two pieces its caller is as it was
    with pytest.raises(IndexError):
        next(pieces)


def test_a_piece_of_nothing_is_refused(load: Load) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        load(piece_frames=0)


# --- Memory ------------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Notes the elements of the largest tensor that any operation answers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch leaves it untyped
        self.elements: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401  # as torch declares it
        answer = func(*args, **(kwargs or {}))
        for tensor in answer if isinstance(answer, tuple | list) else (answer,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return answer


def largest(codec: Codec, codes: Tensor) -> int:
    noted = Largest()
    with noted:
        for _ in codec.render(codes):
            pass
    return noted.elements


def test_no_tensor_grows_with_the_sound(noise_folder: Path, load: Load) -> None:
    channels = channels_of(noise_folder)
    short, long = (drawn(n * PIECE_FRAMES, channels=channels) for n in (3, 9))
    assert largest(load(), long) == largest(load(), short)
    whole = load(piece_frames=None)
    assert largest(whole, long) > 2 * largest(whole, short)  # so growth would be seen


MUSICGENS_SIZE: dict[str, Any] = {"hidden_size": 128, "num_filters": 64, "num_lstm_layers": 2}
PEAK = """
import sys
from pathlib import Path
import torch
from text2song.model.codec import Codec
from text2song.model.configuration import read_configuration

torch.set_num_threads(1)
read = lambda name, shape: torch.randn(shape) / 30
codec = Codec(read_configuration(Path(sys.argv[1])), read=read)
codec.decode(torch.randint(0, 2048, (4, int(sys.argv[2]))))
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""Prints the most memory that a process of its own ever held, in KiB."""


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what a process held")
def test_five_minutes_take_the_memory_of_one(tmp_path: Path, record_figure: RecordFigure) -> None:
    """At MusicGen's size; decoded whole, each further minute would take two gigabytes."""
    configured(tmp_path, part="audio_encoder", values=MUSICGENS_SIZE)
    peaks_mib = {}
    for minutes in (1, 5):
        command = [sys.executable, "-c", PEAK, str(tmp_path), str(minutes * 3000)]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        result_bytes = minutes * 3000 * SAMPLES_PER_FRAME * 4
        peaks_mib[minutes] = (int(told.stdout) * 1024 - result_bytes) / 2**20
        record_figure(f"peak beside the sound, {minutes} min", peaks_mib[minutes], "MiB")
    assert peaks_mib[5] < peaks_mib[1] + 100
