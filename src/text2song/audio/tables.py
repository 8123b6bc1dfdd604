"""The tables of audio samples and of bytes that are no longer needed."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from text2song.db.base import BLOB_KEY, Base, Identified, JsonDocument
from text2song.users.ownership import Owned, ownership_indexes


class AudioSample(Owned, Base):
    """A take that was kept. Its bytes were stored before this row was."""

    __tablename__ = "audio_samples"
    __table_args__ = (
        Index(None, "adapter_id", "id"),  # one adapter may have made half of all samples
        ForeignKeyConstraint(
            ["prompt_id", "visibility"], ["prompts.id", "prompts.visibility"], onupdate="CASCADE"
        ),
        *ownership_indexes(),
    )

    prompt_id: Mapped[uuid.UUID]
    adapter_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("adapters.id"))
    """Where exactly one adapter acted; a composition is in `generation_params`."""

    # The paths are indexed because the reaper asks of many keys whether any sample needs them.
    storage_path: Mapped[str] = mapped_column(String(300), index=True, info=BLOB_KEY)
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    duration_seconds: Mapped[float]
    sample_rate: Mapped[int]
    channels: Mapped[int]
    loudness_lufs: Mapped[float | None]
    true_peak_dbtp: Mapped[float | None]
    peaks_path: Mapped[str] = mapped_column(String(300), index=True, info=BLOB_KEY)
    codes_path: Mapped[str] = mapped_column(String(300), index=True, info=BLOB_KEY)
    codes_sha256: Mapped[str] = mapped_column(String(64))
    """Of the codes `[K, T]` themselves: equal digests, equal music."""

    sentence: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(200))
    generation_params: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    """The specification of the take: the same one gives the same codes."""
    provenance: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    """Model revision and fingerprint, token ids, dtype, versions: what else was so when it was made."""
    created_at: Mapped[dt.datetime]


class DoomedBlob(Identified, Base):
    """A key that perhaps no row needs any more; removed later, if still nobody does.

    Not at once, because equal bytes have one key: a worker may at this moment be storing the same
    music again and be about to write the row for it.
    """

    __tablename__ = "doomed_blobs"

    key: Mapped[str] = mapped_column(String(300), index=True)
    due_at: Mapped[dt.datetime] = mapped_column(index=True)


# In the order of a page, however long ago the prompt was used, and however much its adapter made besides.
Index(None, AudioSample.prompt_id, AudioSample.id)
Index(None, AudioSample.prompt_id, AudioSample.adapter_id, AudioSample.id)
