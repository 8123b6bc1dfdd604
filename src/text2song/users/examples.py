"""A person, a key, a session and an entry of the audit, as the documentation of the API shows them."""

from typing import Any, Final

_USER_ID: Final = "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a07"
_KEY_ID: Final = "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a08"

USER_IN: Final[dict[str, Any]] = {"name": "Ada", "role": "creator", "is_expert": True}
USER_PATCH: Final[dict[str, Any]] = {"role": "rater", "max_minutes_a_day": 30}
USER_OUT: Final[dict[str, Any]] = {
    "id": _USER_ID,
    "name": "Ada",
    "role": "creator",
    "is_expert": True,
    "is_active": True,
    "max_queued_jobs": None,
    "max_minutes_a_day": 30,
    "max_storage_bytes": None,
    "created_at": "2026-01-01T12:00:00Z",
    "deactivated_at": None,
}
KEY_IN: Final[dict[str, Any]] = {
    "name": "laptop",
    "scopes": ["read", "create"],
    "expires_at": "2027-01-01T00:00:00Z",
}
KEY_OUT: Final[dict[str, Any]] = {
    **KEY_IN,
    "id": _KEY_ID,
    "user_id": _USER_ID,
    "first_letters": "t2s_9Qb3xY2m",
    "created_at": "2026-01-01T12:00:00Z",
    "revoked_at": None,
    "last_used_at": None,
}
_NOBODYS_KEY: Final = "t2s_9Qb3xY2mWc7Lf0RkZ5vHn8JdTq4uGs1AeXp6Bi-o_yM"
KEY_MADE: Final[dict[str, Any]] = {**KEY_OUT, "key": _NOBODYS_KEY}
SESSION_IN: Final[dict[str, Any]] = {"key": _NOBODYS_KEY}
SESSION_OUT: Final[dict[str, Any]] = {
    "user": USER_OUT,
    "permissions": ["create", "rate", "read"],
    "csrf_token": "6c1f0a52c4fd6f5f0d3d7c0c5b2b5a4f9b6b2e0f6f4a2a1d8e7c6b5a49382716",
    "is_login_required": True,
}
AUDIT_ENTRY: Final[dict[str, Any]] = {
    "id": "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a09",
    "created_at": "2026-01-01T12:00:00Z",
    "actor_id": None,
    "act": "user.change",
    "subject_kind": "user",
    "subject_id": _USER_ID,
    "details": {"role": ["creator", "rater"]},
}
