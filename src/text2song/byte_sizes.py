"""Sizes of memory and files, as people write them and read them."""

import re
from typing import Final

_UNITS: Final = {
    f"{prefix}{ending}": base**power
    for ending, base in (("b", 1000), ("ib", 1024))
    for power, prefix in enumerate("kmgt", start=1)
}
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([a-z]+)", re.IGNORECASE)
WANTED: Final = "must be a number above zero with its unit, such as 12GB, 7.5GiB or 900MiB"


def read_size(text: str) -> int:
    """Bytes of a size such as `12GB` (powers of 1,000) or `8GiB` (of 1,024); capitals or not.

    Raises:
        ValueError: anything else. A number without a unit, too: whoever writes 12 does not mean bytes.

    >>> read_size("7.5 GiB")
    8053063680
    """
    parts = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(parts[2].lower()) if parts else None
    size_bytes = int(float(parts[1]) * unit) if parts and unit else 0
    if size_bytes < 1:
        raise ValueError(WANTED)
    return size_bytes


def size_words(size_bytes: int) -> str:
    """A size in the largest unit that it fills."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes / 1e3:.1f} kB"
