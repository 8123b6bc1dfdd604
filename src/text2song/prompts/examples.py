"""One prompt, as the documentation of the API shows it."""

from typing import Any, Final

PROMPT_IN: Final[dict[str, Any]] = {
    "text": "warm lo-fi with a lazy piano",
    "attributes": {
        "style": "lo-fi",
        "tempo": 84,
        "instrumentation": ["piano", "brushed drums"],
        "mood": "mellow",
        "duration": 8,
    },
}
PROMPT_OUT: Final[dict[str, Any]] = {
    **PROMPT_IN,
    "id": "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a01",
    "sentence": "warm lo-fi with a lazy piano, lo-fi, mellow, piano and brushed drums, 84 bpm",
    "created_at": "2026-01-01T12:00:00Z",
    "user_id": None,
    "visibility": "private",
}
PROMPT_PATCH: Final[dict[str, Any]] = {"visibility": "shared"}
