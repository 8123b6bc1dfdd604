"""Memory that ran out, as an error that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from text2song.errors import OutOfMemory

_CPU_ALLOCATOR = "DefaultCPUAllocator"
"""torch's CPU allocator raises a plain RuntimeError that names itself; there is no class for it."""


@contextmanager
def memory_guard(doing: str) -> Iterator[None]:
    """Turn whatever torch raises when memory runs out into `OutOfMemory`.

    `doing` completes the sentence "Not enough memory to ...".
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _refusal(doing) from error
    except RuntimeError as error:
        if _CPU_ALLOCATOR not in str(error):
            raise
        raise _refusal(doing) from error


def _refusal(doing: str) -> OutOfMemory:
    return OutOfMemory(
        f"Not enough memory to {doing}. Close other programs, ask for fewer or shorter takes at once, or "
        "serve a smaller model."
    )
