"""EnCodec's decoder, held to transformers', and what it makes in pieces, held to what it makes whole.

Legend: K codebooks, T frames, C channels of a layer, N samples of a layer.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import EncodecConfig, EncodecModel

from tests.figures import RecordFigure
from tests.model.tiny import Weights, configured, largest_difference, randomised
from text2song.model.encodec import CodecDecoder, reach_frames
from text2song.model.noise_weights import encoder_shapes
from text2song.model.shapes import CodecShape

TOLERANCE = 1e-5
"""Of the largest value: float32's rounding, some dozen times."""
FRAMES = (1, 2, 3, 5, 33, 300)
STANDARD: dict[str, Any] = {
    "sampling_rate": 32_000,
    "target_bandwidths": [2.2],
    "upsampling_ratios": [8, 5, 4, 4],
    "codebook_size": 2048,
    "hidden_size": 16,
    "num_filters": 4,
    "num_lstm_layers": 1,
    "use_causal_conv": False,
    "use_conv_shortcut": False,
}
"""The noise model's, which are MusicGen's at a small width."""
FAR_SIGHT: dict[str, Any] = {
    "upsampling_ratios": [2, 2],
    "sampling_rate": 200,
    "num_residual_layers": 3,
    "last_kernel_size": 15,
}
"""Kernels that are long where frames are short: pieces may be shorter than what they look at."""
VARIANTS: dict[str, dict[str, Any]] = {
    "MusicGen": {"num_lstm_layers": 2},
    "one LSTM": {},
    "convolved shortcuts": {"use_conv_shortcut": True, "num_residual_layers": 2},
    "causal": {"use_causal_conv": True},
    "causal, cut on both sides": {"use_causal_conv": True, "trim_right_ratio": 0.3, "num_residual_layers": 3},
    "three residual blocks": {"num_residual_layers": 3, "dilation_growth_rate": 3},
    "zeros at the ends": {"pad_mode": "constant", "num_residual_layers": 2},
    "other kernels": {"kernel_size": 5, "last_kernel_size": 9, "residual_kernel_size": 5, "compress": 4},
    "even kernels": {"kernel_size": 4, "last_kernel_size": 6, "residual_kernel_size": 2},
    "other ratios": {"upsampling_ratios": [7, 3], "sampling_rate": 1050, "num_lstm_layers": 3},
    "far sight": FAR_SIGHT,
    "far sight, causal": FAR_SIGHT | {"use_causal_conv": True},
}


def decoded(ours: CodecDecoder, codes: Tensor, *, piece_frames: int | None = None) -> Tensor:
    """[1, N], whole unless it is said otherwise."""
    return torch.cat(list(ours.render(codes, piece_frames=piece_frames or codes.shape[1])), dim=1)


def drawn(frames: int) -> Tensor:
    """Codes [K, T], the same for the same length."""
    return torch.randint(0, 2048, (4, frames), generator=torch.Generator().manual_seed(frames))


def built(folder: Path, variant: str, dtype: torch.dtype = torch.float32) -> tuple[CodecDecoder, CodecShape]:
    """A decoder of random weights."""
    values = STANDARD | VARIANTS[variant]
    theirs = EncodecModel(EncodecConfig(**values))
    randomised(theirs, seed=3)
    shape = configured(folder, part="audio_encoder", values=values).codec
    read = Weights(theirs, prefix="audio_encoder.").read
    return CodecDecoder(shape, read=lambda name, size: read(name, size).to(dtype)), shape


def played(ours: CodecDecoder, theirs: EncodecModel, codes: Tensor) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        expected: Tensor = theirs.decoder(theirs.quantizer.decode(codes[:, None]))[0]
    return decoded(ours, codes), expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_sound_is_that_of_transformers(tmp_path: Path, record_figure: RecordFigure, variant: str) -> None:
    values = STANDARD | VARIANTS[variant]
    shape = configured(tmp_path, part="audio_encoder", values=values).codec
    theirs = EncodecModel(EncodecConfig(**values))
    randomised(theirs, seed=3)
    theirs.train(mode=False)
    weights = Weights(theirs, prefix="audio_encoder.")
    ours = CodecDecoder(shape, read=weights.read)
    decoders = {name for name in weights.names if ".decoder." in name or name.endswith(".embed")}
    assert weights.asked == decoders

    found = []
    for frames in FRAMES:
        codes = drawn(frames)
        found.append(largest_difference(*played(ours, theirs, codes)))
        assert torch.equal(decoded(ours, codes), decoded(ours, codes.clone()))
    record_figure("largest difference from transformers, of the largest value", max(found), "")
    assert max(found) < TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_encoders_tensors_are_those_of_transformers(tmp_path: Path, variant: str) -> None:
    values = STANDARD | VARIANTS[variant]
    shape = configured(tmp_path, part="audio_encoder", values=values).codec
    stored = EncodecModel(EncodecConfig(**values)).state_dict()
    expected = {name: tuple(t.shape) for name, t in stored.items() if name.startswith("encoder.")}
    assert encoder_shapes(shape) == expected


def test_a_sound_is_as_long_as_its_frames_say_and_begins_the_same_when_it_is_causal(tmp_path: Path) -> None:
    ours, _ = built(tmp_path, "causal")
    codes = drawn(40)
    whole, begun = decoded(ours, codes), decoded(ours, codes[:, :30])
    assert whole.shape == (1, 40 * 640)
    assert (whole[:, : 30 * 640] - begun).abs().max() < TOLERANCE


# --- Pieces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_pieces_join_without_a_seam(tmp_path: Path, variant: str) -> None:
    """In float64, where a frame of context too few would show however little it weighs."""
    ours, shape = built(tmp_path, variant, dtype=torch.float64)
    for frames in (1, 2, 5, 34):
        codes = drawn(frames)
        whole = decoded(ours, codes)
        for piece_frames in (1, 3, 33, 50):
            pieces = list(ours.render(codes, piece_frames=piece_frames))
            lengths = [piece.shape[1] // math.prod(shape.ratios) for piece in pieces]
            assert lengths == [min(piece_frames, frames - at) for at in range(0, frames, piece_frames)]
            assert largest_difference(torch.cat(pieces, dim=1), whole) < 1e-13


def test_in_float32_pieces_differ_by_rounding_only(tmp_path: Path, record_figure: RecordFigure) -> None:
    ours, _ = built(tmp_path, "MusicGen")
    found = []
    for frames in (251, 500):
        codes = drawn(frames)
        whole, pieces = decoded(ours, codes), decoded(ours, codes, piece_frames=250)
        found.append(largest_difference(pieces, whole))
        assert torch.equal(pieces, decoded(ours, codes.clone(), piece_frames=250))
    record_figure("largest difference of pieces from whole, of the largest value", max(found), "")
    assert max(found) < TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_reach_is_how_far_a_frame_is_heard(tmp_path: Path, variant: str) -> None:
    """Change one frame of what the upsamplings read, and see how many frames of sound are another."""
    ours, shape = built(tmp_path, variant, dtype=torch.float64)
    frames, middle = 61, 30
    x = torch.randn(shape.width, frames, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    changed = x.clone()
    changed[:, middle] += 1
    for layer in ours._layers:
        x, changed = layer(x), layer(changed)
    is_other = (x != changed).view(frames, -1).any(dim=1)  # [1, N] to [T]
    heard = is_other.nonzero()
    assert int((heard - middle).abs().max()) == reach_frames(shape)


def test_musicgens_reach_is_one_frame(tmp_path: Path) -> None:
    """By hand: the samples before the first one of a frame that decide it, at each layer's own rate.

    The last convolution looks 3 back and the residual 1: 4. An upsampling by 4 makes of each input the two
    ratios of outputs that begin 2 before its own, so that 4 back is 2 back of the inputs (the second makes
    -10 to -3, the first -6 to 1), and with the residual 3. The next 4: 2, 3. Upsampling by 5 cuts 3: 1, 2.
    By 8, of which one input makes 4 before to 11 after its own: 1.
    """
    _, shape = built(tmp_path, "MusicGen")
    assert reach_frames(shape) == 1
    _, shape = built(tmp_path, "far sight")
    assert reach_frames(shape) > 1
