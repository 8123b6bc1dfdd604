"""A take's codes on disk: one safetensors file that numpy, torch and every other reader opens.

The header is written here, not by the safetensors library, because the library orders metadata by
a hash that changes from process to process, and the file's digest is its name.

Legend: K codebooks, T frames.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from text2song.artifacts.digest import canonical_json
from text2song.errors import BlobCorrupt

TENSOR_NAME: Final = "codes"
CODEBOOK_SIZE_KEY: Final = "codebook_size"
_ALIGNMENT_BYTES: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class CodesFile:
    """What `unpack` found."""

    codes: NDArray[np.int16]
    """[K, T]"""
    codebook_size: int
    metadata: Mapping[str, str]
    """As given to `pack`."""


def pack(codes: NDArray[np.int16], *, codebook_size: int, metadata: Mapping[str, str]) -> bytes:
    """`codes` `[K, T]` with text metadata, as safetensors; the same input gives the same bytes.

    Raises:
        TypeError, ValueError: wrong dtype, wrong shape, a code outside 0 to codebook_size - 1, or
            metadata that is not text; all of them are programming errors.
    """
    fault = _fault(codes, codebook_size=codebook_size)
    if fault:
        raise ValueError(f"codes cannot be packed: {fault}")
    if CODEBOOK_SIZE_KEY in metadata:
        raise ValueError(f"{CODEBOOK_SIZE_KEY} is an argument, not metadata")
    if not all(isinstance(text, str) for text in metadata.values()):
        raise TypeError("safetensors metadata holds text only")
    data = np.ascontiguousarray(codes, dtype="<i2").tobytes()
    header = canonical_json(
        {
            "__metadata__": {**metadata, CODEBOOK_SIZE_KEY: str(codebook_size)},
            TENSOR_NAME: {"dtype": "I16", "shape": list(codes.shape), "data_offsets": [0, len(data)]},
        }
    )
    header += b" " * (-len(header) % _ALIGNMENT_BYTES)
    return len(header).to_bytes(8, "little") + header + data


def unpack(data: bytes) -> CodesFile:
    """The inverse of `pack`.

    Raises:
        BlobCorrupt: these bytes are not a whole file that `pack` made.
    """
    try:
        tensors = load(data)
        metadata = _metadata(data)
        codebook_size = int(metadata.pop(CODEBOOK_SIZE_KEY))
        codes = tensors[TENSOR_NAME]
    except (SafetensorError, KeyError, ValueError) as error:
        raise BlobCorrupt(
            "The codes of this sample cannot be read: restore the file from a backup."
        ) from error
    fault = _fault(codes, codebook_size=codebook_size)
    if fault:
        raise BlobCorrupt(f"The codes of this sample are damaged ({fault}): restore them from a backup.")
    return CodesFile(codes=codes, codebook_size=codebook_size, metadata=MappingProxyType(metadata))


def _metadata(data: bytes) -> dict[str, str]:
    """The header's text, which safetensors' loader checks but does not hand out."""
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size])["__metadata__"])


def _fault(codes: NDArray[np.int16], *, codebook_size: int) -> str | None:
    if codes.dtype != np.int16:
        return f"they are {codes.dtype}, not int16"
    if codes.ndim != 2 or 0 in codes.shape:
        return f"their shape is {codes.shape}, not [K, T]"
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= codebook_size:
        return f"they reach from {low} to {high}, outside 0 to {codebook_size - 1}"
    return None
