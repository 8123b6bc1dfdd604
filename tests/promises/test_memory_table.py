"""The README's table of memory is what the code computes."""

import re
from typing import Final

from tests.figures import ROOT
from text2song.model.dtypes import DTYPES
from text2song.model.footprint import Footprint, footprint_of
from text2song.model.published import PUBLISHED

README: Final = (ROOT / "README.md").read_text()
LIMITS_GB: Final = (8, 16, 24)
SIZES: Final = ("small", "medium", "large")


def line_of(name: str, dtype: str) -> str:
    """A row of the table."""
    found = footprint_of(PUBLISHED[name], dtype=dtype)
    figures = [f"{size / 1e9:.1f}" for size in (found.weights_bytes, found.row_bytes)]
    return "| " + " | ".join([name, dtype, *figures, *(_takes(found, limit) for limit in LIMITS_GB)]) + " |"


def _takes(found: Footprint, limit_gb: int) -> str:
    if found.weights_bytes > limit_gb * 10**9:
        return "-"
    return str(found.rows_within(limit_gb * 10**9))


def test_every_size_and_dtype_stands_there_with_the_figures_that_are_computed() -> None:
    rows = re.findall(rf"^\| (?:{'|'.join(SIZES)}) \| .*$", README, flags=re.MULTILINE)
    assert rows == [line_of(name, dtype) for name in SIZES for dtype in DTYPES]


def test_the_limits_stand_above_them() -> None:
    heads = " | ".join(f"in {limit} GB" for limit in LIMITS_GB)
    assert f"| weights | a take of 30 s | takes at once {heads} |" in README


def test_what_is_said_of_sound_and_stereo_holds() -> None:
    sounds = {footprint_of(each, dtype="float32").rendering_bytes for each in PUBLISHED.values()}
    [said] = re.findall(r"While sound is made, ([\d.]+) GB more", README)
    assert [f"{sound / 1e9:.1f}" for sound in sounds] == [said]
    more = [
        footprint_of(PUBLISHED[f"stereo-{name}"], dtype=dtype).weights_bytes
        - footprint_of(PUBLISHED[name], dtype=dtype).weights_bytes
        for name in SIZES
        for dtype in DTYPES
    ]
    [most] = re.findall(r"at most ([\d.]+) GB larger", README)
    assert f"{max(more) / 1e9:.1f}" == most
