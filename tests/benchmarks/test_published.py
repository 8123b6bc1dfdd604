"""The comparison that `make verify-real` makes of the published weights, on the untrained model."""

from pathlib import Path

import pytest

from benchmarks.published import compare
from text2song.model.noise import build_noise_model


@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
def test_plain_products_give_the_codes_of_transformers(tmp_path: Path, channels: int) -> None:
    folder = build_noise_model(tmp_path / "noise", audio_channels=channels)
    found = {agreement.how: agreement for agreement in compare("noise", folder, seconds=0.6)}
    plain = found["float32, plain"]
    assert (plain.equal_takes, plain.takes, plain.equal_frames) == (3, 3, 1.0)
    assert found["float32, as it is served"].equal_frames > 0.5
    assert "| noise | float32, plain | 3 of 3 | 100 % |" in plain.as_row()
