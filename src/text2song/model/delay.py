"""MusicGen's delay pattern: when each codebook speaks.

A frame's K codes depend on one another, so they are not drawn at once: codebook k runs `offsets[k]`
steps late, and sees the earlier codebooks of its frame when its turn comes (Copet et al. 2023,
"Simple and Controllable Music Generation", section 2.2). In stereo the codebooks of the left and
the right channel alternate, and each pair shares an offset.

Legend: K codebooks, T frames, S columns of the delayed sequence, P the special token.

    codes [K, T]        steps [K, S], S = 1 + T + last offset
    a0 a1 a2            P a0 a1 a2  P  P
    b0 b1 b2            P  P b0 b1 b2  P
    c0 c1 c2            P  P  P c0 c1 c2
"""

import torch
from torch import Tensor


def offsets_for(codebooks: int, *, channels: int) -> tuple[int, ...]:
    """Steps by which each codebook is late: 0, 1, 2, 3 in mono; 0, 0, 1, 1, 2, 2, 3, 3 in stereo."""
    return tuple(k // channels for k in range(codebooks))


def columns_for(frames: int, *, offsets: tuple[int, ...]) -> int:
    """S: the start column, and a column for each step until the latest codebook is done."""
    return 1 + frames + max(offsets)


def frame_at(column: int, *, offset: int) -> int:
    """The frame whose code a codebook of that offset has in that column; beyond 0 to T - 1 it has none."""
    return column - 1 - offset


def delayed(codes: Tensor, *, offsets: tuple[int, ...], special: int) -> Tensor:
    """Codes [K, T] as delayed steps [K, S], with `special` wherever no code stands."""
    frames = codes.shape[1]
    steps = codes.new_full((len(offsets), columns_for(frames, offsets=offsets)), special)  # [K, S]
    for k, offset in enumerate(offsets):
        steps[k, 1 + offset : 1 + offset + frames] = codes[k]
    return steps


def undelayed(steps: Tensor, *, offsets: tuple[int, ...]) -> Tensor:
    """Delayed steps [K, S] as codes [K, T]: the inverse of `delayed`."""
    frames = steps.shape[1] - columns_for(0, offsets=offsets)
    rows = [steps[k, 1 + offset : 1 + offset + frames] for k, offset in enumerate(offsets)]
    return torch.stack(rows)  # [K, T]
