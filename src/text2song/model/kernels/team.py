"""Work that several threads do together, where it is worth waking them. Their process must not fork."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Final

import torch

Part = Callable[[int, int], None]
"""Does the units from one number to before another."""

WORTH_BYTES: Final = 2**21
"""What one thread reads while another is woken, four times over."""
_MOST_THREADS: Final = 8
"""A few threads read as fast as memory answers; waking each costs the one that waits."""


def share(part: Part, *, units: int, unit_bytes: int) -> None:
    """Have all units done, by as many of torch's threads as are worth it; the caller is one of them.

    A part must let go of Python's lock, as compiled kernels do.
    """
    worth = max(1, units * unit_bytes // WORTH_BYTES)
    parts = min(torch.get_num_threads(), _MOST_THREADS, units, worth)
    if parts <= 1:
        part(0, units)
        return
    bounds = [units * number // parts for number in range(parts + 1)]
    waiting: list[Future[None]] = []
    try:
        for number in range(1, parts):
            waiting.append(_pool().submit(part, bounds[number], bounds[number + 1]))  # noqa: PERF401  # what is begun is waited for, whatever happens
        part(0, bounds[1])
    finally:
        wait(waiting)  # they write to the caller's tensors
    for each in waiting:
        each.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MOST_THREADS - 1, thread_name_prefix="kernels")
