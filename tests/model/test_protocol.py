import pytest

from text2song.model.protocol import frames_in


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(1, 50), (30, 1500), (0.5, 25), (1.009, 50), (1.011, 51), (0.001, 1)],
)
def test_a_duration_is_its_nearest_number_of_frames_and_never_none(seconds: float, frames: int) -> None:
    assert frames_in(seconds, frame_rate=50.0) == frames
