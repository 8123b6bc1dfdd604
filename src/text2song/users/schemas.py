"""The bodies of people, keys, sessions and the audit."""

import datetime as dt
import uuid
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, StrictBool

from text2song.users import examples
from text2song.users.secrets import KEY_PREFIX
from text2song.wire import Id, Whole, WireModel, one_line

NAME_LIMIT: Final = 100
QUOTA_LIMIT: Final = 10**15
"""Far beyond any machine, and within what both databases store."""

Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT), AfterValidator(one_line)]
RoleName = Annotated[
    Literal["admin", "creator", "rater"],
    Field(description="Admins look after people, creators make music, raters listen and judge."),
]
Scope = Literal["read", "rate", "create", "admin"]
Plain = str | int | bool | None

_QUEUED: Final = "Jobs that may wait at once; null: what the studio's settings say."
_MINUTES: Final = "Minutes of audio that may be asked for in 24 hours; null: what the settings say."
_BYTES: Final = "Bytes of audio that may be kept; null: what the settings say."


class UserIn(WireModel):
    """A new person. Make them a key next: `POST /keys` with their id."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.USER_IN]})

    name: Name = Field(description="Nobody else has it, in capitals or not: `ada` is `Ada`.")
    role: RoleName = "creator"
    is_expert: StrictBool = Field(default=False, description="Whether their feedback counts as an expert's.")
    max_queued_jobs: Whole | None = Field(default=None, ge=0, le=QUOTA_LIMIT, description=_QUEUED)
    max_minutes_a_day: Whole | None = Field(default=None, ge=0, le=QUOTA_LIMIT, description=_MINUTES)
    max_storage_bytes: Whole | None = Field(default=None, ge=0, le=QUOTA_LIMIT, description=_BYTES)


class UserPatch(WireModel):
    """What changes of a person; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.USER_PATCH]})

    role: RoleName = "creator"
    is_expert: StrictBool = False
    is_active: StrictBool = Field(
        default=True, description="False ends all their keys and sessions at once; what they made stays."
    )
    max_queued_jobs: Whole | None = Field(default=None, ge=0, le=QUOTA_LIMIT, description=_QUEUED)
    max_minutes_a_day: Whole | None = Field(default=None, ge=0, le=QUOTA_LIMIT, description=_MINUTES)
    max_storage_bytes: Whole | None = Field(default=None, ge=0, le=QUOTA_LIMIT, description=_BYTES)


class UserOut(WireModel):
    """A person."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.USER_OUT]})

    id: uuid.UUID
    name: str
    role: RoleName
    is_expert: bool
    is_active: bool
    max_queued_jobs: int | None = Field(description=_QUEUED)
    max_minutes_a_day: int | None = Field(description=_MINUTES)
    max_storage_bytes: int | None = Field(description=_BYTES)
    created_at: dt.datetime
    deactivated_at: dt.datetime | None


class KeyIn(WireModel):
    """A new key."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.KEY_IN]})

    name: Name = Field(description="What it is for, so that its owner knows which one to revoke.")
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=4)] | None = Field(
        default=None, description="What it is good for; left out: for all that its owner may do."
    )
    expires_at: AwareDatetime | None = Field(default=None, description="Left out: when it is revoked.")
    user_id: Id | None = Field(default=None, description="Whose it will be; only admins name another.")


class KeyOut(WireModel):
    """A key, without its secret, which nobody can tell any more."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.KEY_OUT]})

    id: uuid.UUID
    user_id: uuid.UUID
    name: str
    first_letters: str
    scopes: list[Scope] | None = Field(description="Null: all that its owner may do.")
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    last_used_at: dt.datetime | None = Field(description="To the minute.")


class KeyMade(KeyOut):
    """A key that was just made: the only time that its secret is told."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.KEY_MADE]})

    key: str = Field(
        description=f"Begins with `{KEY_PREFIX}`. Keep it: it is not stored, and not told again."
    )


class SessionIn(WireModel):
    """What signs a browser in."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SESSION_IN]})

    key: Annotated[str, Field(min_length=1, max_length=200)]


class SessionOut(WireModel):
    """Who asks, and what they may do."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SESSION_OUT]})

    user: UserOut | None = Field(description="Null on a machine of one's own, without users.")
    permissions: list[Scope]
    csrf_token: str | None = Field(
        description="Send it as `X-CSRF-Token` with all that changes something; null without a cookie."
    )
    is_login_required: bool = Field(description="False where this browser needs no login to be let in.")


class AuditEntryOut(WireModel):
    """One thing that an admin, or the command line, did."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.AUDIT_ENTRY]})

    id: uuid.UUID
    created_at: dt.datetime
    actor_id: uuid.UUID | None = Field(description="Null: whoever has the machine itself.")
    act: str
    subject_kind: str
    subject_id: uuid.UUID
    details: dict[str, Plain | list[Plain]] = Field(description="What changed: from what to what.")
