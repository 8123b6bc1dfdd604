"""Takes that are longer than what the model was trained on, by a sliding window. Needs no torch.

A take longer than one window is drawn window after window: each next one begins with frames that the
one before has drawn, as its prompt, and goes on from there, with its positions from zero again. This
is audiocraft's definition (`BaseGenModel._generate_tokens`; MusicGen's `extend_stride` of 18 s keeps 12
of 30 s), in whole frames: audiocraft goes by seconds in floating point, and can so lose a frame.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """What the model sees at once of a take; `start` and `end` count the take's frames."""

    start: int
    kept: int
    """Frames at its beginning that are already drawn."""
    end: int

    @property
    def frames(self) -> int:
        """Its length: what is kept, and what is new."""
        return self.end - self.start

    @property
    def new_frames(self) -> int:
        """Frames that it draws."""
        return self.frames - self.kept


def windows_for(frames: int, *, window_frames: int, kept_frames: int) -> tuple[Window, ...]:
    """The windows that draw a take of so many frames, in their order.

    All but the last are `window_frames` long, all but the first keep `kept_frames`, and each draws at
    least one frame that no other draws. A take of at most one window is one window.

    Raises:
        ValueError: no frames are asked for, or a next window would keep less than nothing or have no
            room for new frames.
    """
    if frames < 1:
        raise ValueError(f"a take has at least one frame, not {frames}")
    if not 0 <= kept_frames < window_frames:
        raise ValueError(f"a window of {window_frames} frames cannot keep {kept_frames} and draw new ones")
    windows = [Window(start=0, kept=0, end=min(frames, window_frames))]
    while windows[-1].end < frames:
        start = windows[-1].end - kept_frames
        windows.append(Window(start=start, kept=kept_frames, end=min(frames, start + window_frames)))
    return tuple(windows)
