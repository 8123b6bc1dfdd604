"""What admins did: to people, to keys, and to other people's things.

Entries are only ever added. They hold ids and what changed, never a secret and never anybody's words.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from text2song.db.pages import RowPage, newest_first
from text2song.studio import Reader, Work
from text2song.users.ownership import Owned
from text2song.users.tables import AuditEntry


def note(work: Work, act: str, subject_id: uuid.UUID, *, details: Mapping[str, Any] | None = None) -> None:
    """Write down an act such as `user.deactivate`; its first word is the kind of its subject."""
    entry = AuditEntry(
        created_at=work.clock(),
        actor_id=work.actor.user_id,
        act=act,
        subject_kind=act.partition(".")[0],
        subject_id=subject_id,
        details=dict(details or {}),
    )
    work.session.add(entry)


def note_if_anothers(work: Work, row: Owned, *, act: str) -> None:
    """Write down what was done to a row, unless it was done by its owner."""
    if row.user_id != work.actor.user_id:
        owner = str(row.user_id) if row.user_id else None
        note(work, act, row.id, details={"owner": owner})


def find(
    reader: Reader, *, subject_id: uuid.UUID | None, cursor: str | None, limit: int
) -> RowPage[AuditEntry]:
    """A page of entries, newest first; with `subject_id`, those about one person, key or thing."""
    query = select(AuditEntry)
    if subject_id is not None:
        query = query.where(AuditEntry.subject_id == subject_id)
    return newest_first(reader.session, query, by=AuditEntry.id, cursor=cursor, limit=limit)
