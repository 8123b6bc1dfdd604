"""The sliding window, held to audiocraft's loop as a slow walk in whole frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text2song.model.longform import Window, windows_for


def walked(frames: int, *, window_frames: int, kept_frames: int) -> list[Window]:
    """What audiocraft's loop does, frame by frame: an offset, a prompt, a list of all that was drawn."""
    stride = window_frames - kept_frames
    take: list[int] = []
    prompt: list[int] = []
    windows: list[Window] = []
    offset = 0
    while offset + len(prompt) < frames:
        chunk = min(frames - offset, window_frames)
        drawn = list(prompt)
        for frame in range(offset + len(prompt), offset + chunk):
            drawn.append(frame)
            take.append(frame)
        assert drawn == list(range(offset, offset + chunk))  # the prompt is where the window says it is
        windows.append(Window(start=offset, kept=len(prompt), end=offset + chunk))
        prompt = drawn[stride:]
        offset += stride
    assert take == list(range(frames))
    return windows


@st.composite
def lengths(draw: st.DrawFn) -> tuple[int, int, int]:
    """Frames of a take, of a window, and kept."""
    window_frames = draw(st.integers(1, 60))
    kept_frames = draw(st.integers(0, window_frames - 1))
    return draw(st.integers(1, 400)), window_frames, kept_frames


@given(lengths())
def test_the_windows_are_those_of_the_walk(given_lengths: tuple[int, int, int]) -> None:
    frames, window_frames, kept_frames = given_lengths
    found = windows_for(frames, window_frames=window_frames, kept_frames=kept_frames)
    assert list(found) == walked(frames, window_frames=window_frames, kept_frames=kept_frames)


@given(lengths())
def test_every_frame_is_drawn_once_and_in_order(given_lengths: tuple[int, int, int]) -> None:
    frames, window_frames, kept_frames = given_lengths
    windows = windows_for(frames, window_frames=window_frames, kept_frames=kept_frames)

    drawn = [frame for window in windows for frame in range(window.start + window.kept, window.end)]
    assert drawn == list(range(frames))
    assert sum(window.new_frames for window in windows) == frames
    assert all(0 < window.new_frames <= window.frames <= window_frames for window in windows)
    assert [window.frames for window in windows[:-1]] == [window_frames] * (len(windows) - 1)
    assert [window.kept for window in windows] == [0] + [kept_frames] * (len(windows) - 1)
    assert (len(windows) == 1) == (frames <= window_frames)


MUSICGEN: list[tuple[float, list[Window]]] = [
    (0.02, [Window(0, 0, 1)]),
    (30, [Window(0, 0, 1500)]),
    (30.02, [Window(0, 0, 1500), Window(900, 600, 1501)]),
    (48, [Window(0, 0, 1500), Window(900, 600, 2400)]),
    (60, [Window(0, 0, 1500), Window(900, 600, 2400), Window(1800, 600, 3000)]),
]


@pytest.mark.parametrize(("seconds", "expected"), MUSICGEN)
def test_musicgens_windows_are_of_thirty_seconds_and_keep_twelve(
    seconds: float, expected: list[Window]
) -> None:
    found = windows_for(round(seconds * 50), window_frames=1500, kept_frames=600)
    assert list(found) == expected


@pytest.mark.parametrize(
    ("frames", "window_frames", "kept_frames", "words"),
    [
        (0, 1500, 600, "at least one frame"),
        (100, 1500, 1500, "cannot keep 1500"),
        (100, 1500, -1, "cannot keep -1"),
        (100, 0, 0, "a window of 0 frames"),
    ],
)
def test_windows_that_could_never_end_are_refused(
    frames: int, window_frames: int, kept_frames: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        windows_for(frames, window_frames=window_frames, kept_frames=kept_frames)
