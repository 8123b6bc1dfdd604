import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open

from text2song.artifacts.codes import pack, unpack
from text2song.artifacts.digest import sha256_hex
from text2song.errors import BlobCorrupt

CODES = np.arange(4 * 25, dtype=np.int16).reshape(4, 25)
METADATA = {"model": "tiny 🎵", "fingerprint": "ab" * 32, "frame_rate": "50.0"}


@given(
    books=st.integers(1, 8),
    frames=st.integers(1, 40),
    seed=st.integers(0, 9999),
    metadata=st.dictionaries(
        st.text(max_size=9).filter(lambda k: k != "codebook_size"), st.text(max_size=20), max_size=4
    ),
)
def test_codes_and_metadata_come_back(books: int, frames: int, seed: int, metadata: dict[str, str]) -> None:
    codes = np.random.default_rng(seed).integers(0, 2048, (books, frames), dtype=np.int16)

    found = unpack(pack(codes, codebook_size=2048, metadata=metadata))

    assert found.codes.dtype == np.int16
    assert np.array_equal(found.codes, codes)
    assert (found.codebook_size, dict(found.metadata)) == (2048, metadata)


def test_other_readers_of_safetensors_open_it(tmp_path: Path) -> None:
    path = tmp_path / "codes.safetensors"
    path.write_bytes(pack(CODES, codebook_size=2048, metadata=METADATA))

    with safe_open(path, framework="numpy") as file:
        assert np.array_equal(file.get_tensor("codes"), CODES)
        assert file.metadata() == {**METADATA, "codebook_size": "2048"}


def test_the_bytes_are_the_same_in_another_process_and_another_order() -> None:
    script = (
        "import numpy as np; from text2song.artifacts.codes import pack; "
        "from text2song.artifacts.digest import sha256_hex; "
        "codes = np.arange(100, dtype=np.int16).reshape(4, 25); "
        f"print(sha256_hex(pack(codes, codebook_size=2048, metadata={dict(reversed(METADATA.items()))!r})))"
    )

    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert other.stdout.strip() == sha256_hex(pack(CODES, codebook_size=2048, metadata=METADATA))


def test_memory_layout_does_not_matter() -> None:
    turned = np.asfortranarray(CODES)

    assert pack(turned, codebook_size=2048, metadata={}) == pack(CODES, codebook_size=2048, metadata={})


@pytest.mark.parametrize(
    ("codes", "fault"),
    [
        (CODES.astype(np.int32), "int32, not int16"),
        (CODES[0], r"\(25,\), not \[K, T\]"),
        (CODES[:, :0], r"\(4, 0\), not \[K, T\]"),
        (CODES - 1, "from -1 to 98, outside 0 to 2047"),
        (CODES + 2000, "from 2000 to 2099, outside"),
    ],
)
def test_what_are_no_codes_is_not_packed(codes: NDArray[Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        pack(codes, codebook_size=2048, metadata={})


def test_metadata_is_text_and_leaves_the_codebook_size_alone() -> None:
    with pytest.raises(ValueError, match="argument"):
        pack(CODES, codebook_size=2048, metadata={"codebook_size": "9"})
    with pytest.raises(TypeError, match="text"):
        pack(CODES, codebook_size=2048, metadata={"seed": 7})  # type: ignore[dict-item] # what is refused


def test_corrupt_bytes_are_refused() -> None:
    data = pack(CODES, codebook_size=2048, metadata=METADATA)
    for broken in (b"", b"junk" * 9, data[:-1], data + b"\0", b"\xff" * 8 + data[8:], data[:8] + data[9:]):
        with pytest.raises(BlobCorrupt, match="backup"):
            unpack(broken)


def test_a_code_outside_the_codebook_is_damage() -> None:
    data = bytearray(pack(CODES, codebook_size=2048, metadata={}))
    data[-1] = 0x7F

    with pytest.raises(BlobCorrupt, match="outside 0 to 2047"):
        unpack(bytes(data))


def test_a_safetensors_file_of_something_else_is_refused() -> None:
    data = pack(CODES, codebook_size=2048, metadata={})

    for foreign in (data.replace(b"codes", b"other"), data.replace(b"codebook_size", b"codebook_sizf")):
        with pytest.raises(BlobCorrupt):
            unpack(foreign)
