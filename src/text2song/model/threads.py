"""How many threads a model computes with.

Threads that share a step wait for each other after every product, spinning. On a busy machine one
of them is often not running, and the others wait for nothing: with two threads on two cores under a
load of 5 the tiny noise model was seen to take 300 ms for a frame, with one thread 5 ms, and idle
it is no slower with one. So a model whose steps are too small to share stays on one thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

SHARED_FROM_WEIGHTS: Final = 4_000_000
"""Weights read in a step from which on it is worth sharing: about a millisecond of one core's work."""


def thread_limit(weights_per_step: int) -> int | None:
    """1 for a model whose steps are too small to share, None (torch's own choice) for others."""
    return 1 if weights_per_step < SHARED_FROM_WEIGHTS else None


@contextmanager
def limited_threads(limit: int | None) -> Iterator[None]:
    """Compute with at most so many threads inside, and as before outside; costs less than a microsecond."""
    before = torch.get_num_threads()
    if limit is None or before <= limit:
        yield
        return
    torch.set_num_threads(limit)
    try:
        yield
    finally:
        torch.set_num_threads(before)
