"""The tables of people, their keys and sessions, and of what admins did."""

import datetime as dt
import unicodedata
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column

from text2song.actors import Role
from text2song.db.base import Base, Identified, JsonDocument


def fold(name: str) -> str:
    """The same for all names that differ only in case, or in how their accents are put together.

    Here and not in the database: SQLite knows no case but that of ASCII, PostgreSQL that of its locale.

    >>> fold("ZOË") == fold("zoe\u0308"), fold("Strauß") == fold("STRAUSS"), fold("Zoe") == fold("Zoë")
    (True, True, False)
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _folded(context: DefaultExecutionContext) -> str | None:
    name = context.get_current_parameters().get("name")  # type: ignore[no-untyped-call]  # SQLAlchemy's
    return None if name is None else fold(name)  # the database refuses a user without one


class User(Identified, Base):
    """A person who writes prompts and gives feedback. Never deleted: what they made names them."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(100), unique=True)
    folded_name: Mapped[str | None] = mapped_column(String(300), default=_folded, unique=True, index=True)
    """None for whom a version that knows nothing of it has added, and for a second one from before it."""
    role: Mapped[str] = mapped_column(String(16), default=Role.CREATOR, server_default=Role.CREATOR.value)
    is_expert: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[dt.datetime]
    deactivated_at: Mapped[dt.datetime | None]
    """Since then nothing of theirs opens a door."""

    # A share of the machine; None: what the settings say.
    max_queued_jobs: Mapped[int | None]
    max_minutes_a_day: Mapped[int | None]
    """Of audio, asked for within the last 24 hours."""
    max_storage_bytes: Mapped[int | None]


class ApiKey(Identified, Base):
    """A secret that stands for a person, of which only the digest is kept."""

    __tablename__ = "api_keys"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """sha256 of the whole key."""
    first_letters: Mapped[str] = mapped_column(String(16))
    """By which a person knows it again."""
    scopes: Mapped[list[str] | None] = mapped_column(JsonDocument)
    """What it is good for; None: for all that its owner may do."""
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]
    """To the minute."""


class LoginSession(Identified, Base):
    """A browser that was signed in with a key, and ends when the key does; or by a provider."""

    __tablename__ = "login_sessions"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    key_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("api_keys.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """sha256 of the secret in the cookie."""
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]


class LoginIdentity(Identified, Base):
    """By what an OpenID Connect provider knows a person: no name and no address, which may be given anew."""

    __tablename__ = "login_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[dt.datetime]


class AuditEntry(Identified, Base):
    """One thing that an admin, or the command line, did to people, keys or somebody else's things."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index(None, "subject_id", "id"),)

    created_at: Mapped[dt.datetime]
    actor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    """None: whoever has the machine."""
    act: Mapped[str] = mapped_column(String(64))
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[uuid.UUID]
    details: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
