"""EnCodec's decoder, held to transformers'."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import EncodecConfig, EncodecModel

from tests.figures import RecordFigure
from tests.model.tiny import Weights, configured, largest_difference, randomised
from text2song.model.encodec import CodecDecoder
from text2song.model.noise_weights import encoder_shapes

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
}


def played(ours: CodecDecoder, theirs: EncodecModel, codes: Tensor) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        expected: Tensor = theirs.decoder(theirs.quantizer.decode(codes[:, None]))[0]
    return ours.decode(codes), expected


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
        codes = torch.randint(0, 2048, (4, frames), generator=torch.Generator().manual_seed(frames))
        found.append(largest_difference(*played(ours, theirs, codes)))
        assert torch.equal(ours.decode(codes), ours.decode(codes.clone()))
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
    values = STANDARD | {"use_causal_conv": True}
    theirs = EncodecModel(EncodecConfig(**values))
    randomised(theirs, seed=0)
    shape = configured(tmp_path, part="audio_encoder", values=values).codec
    ours = CodecDecoder(shape, read=Weights(theirs, prefix="audio_encoder.").read)
    codes = torch.randint(0, 2048, (4, 40))
    whole, begun = ours.decode(codes), ours.decode(codes[:, :30])
    assert whole.shape == (1, 40 * 640)
    assert (whole[:, : 30 * 640] - begun).abs().max() < TOLERANCE
