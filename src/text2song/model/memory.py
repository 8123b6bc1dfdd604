"""Memory that ran out, as an error that a person can act on; and memory that is given back."""

import ctypes
import sys
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


def return_holes() -> None:
    """Give the system what was freed between things that stay; glibc would keep it, others do not have to.

    Loading frees a copy of each weight once that is packed: up to 230 MiB of musicgen-small's were holes.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def _refusal(doing: str) -> OutOfMemory:
    return OutOfMemory(
        f"Not enough memory to {doing}. Close other programs, ask for fewer or shorter takes at once, or "
        "serve a smaller model."
    )
