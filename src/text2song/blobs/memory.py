"""Blobs in this process' memory, for tests; gone with the process."""

from obstore.store import MemoryStore

from text2song.blobs.objects import ObjectBlobs


class MemoryBlobs(ObjectBlobs):
    """A `BlobStore` in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), place="in memory")
