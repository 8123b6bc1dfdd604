"""Requests and one job, as the documentation of the API shows them."""

from typing import Any, Final

from text2song.prompts.examples import PROMPT_IN, PROMPT_OUT

_ID: Final = "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a04"
_AUDIO_ID: Final = "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a03"

REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "new_prompt": {
        "summary": "Two takes of a new prompt",
        "value": {
            "prompt": PROMPT_IN,
            "num_samples": 2,
            "generation_params": {"seed": 7, "guidance_scale": 3.0},
        },
    },
    "stored_prompt": {
        "summary": "A stored prompt, shorter than it says",
        "value": {"prompt_id": PROMPT_OUT["id"], "generation_params": {"duration": 4}},
    },
    "sides": {
        "summary": "The bare model beside an adapter, with the same seeds",
        "value": {
            "prompt_id": PROMPT_OUT["id"],
            "num_samples": 4,
            "sides": [[], [{"adapter": "warm@1.2.0", "weight": 1.0}]],
        },
    },
    "from_sample": {
        "summary": "A sample, made again",
        "value": {"from_sample": _AUDIO_ID},
    },
}
JOB_OUT: Final[dict[str, Any]] = {
    "id": _ID,
    "status": "running",
    "progress": 0.62,
    "stage": "composing",
    "frames_done": 496,
    "frames_total": 800,
    "position": None,
    "eta_seconds": 3.6,
    "sequence": 9,
    "attempts": 1,
    "error": None,
    "prompt_id": PROMPT_OUT["id"],
    "sentence": PROMPT_OUT["sentence"],
    "model": "facebook/musicgen-small",
    "notice": None,
    "priority": 0,
    "num_samples": 2,
    "sides": [[]],
    "generation_params": {
        "seed": 7,
        "temperature": 1.0,
        "top_k": 250,
        "top_p": 1.0,
        "guidance_scale": 3.0,
        "duration": 8.0,
    },
    "from_sample": None,
    "takes": [
        {
            "take": 0,
            "side": 0,
            "status": "succeeded",
            "seed": 7,
            "adapter_id": None,
            "audio_id": _AUDIO_ID,
            "error": None,
        },
        {
            "take": 1,
            "side": 0,
            "status": "running",
            "seed": 8,
            "adapter_id": None,
            "audio_id": None,
            "error": None,
        },
    ],
    "samples": [
        {
            "id": _AUDIO_ID,
            "take": 0,
            "side": 0,
            "seed": 7,
            "adapter_id": None,
            "stream_url": f"/audio/{_AUDIO_ID}/stream",
            "duration_seconds": 8.0,
        }
    ],
    "retry_of": None,
    "user_id": None,
    "created_at": "2026-01-01T12:00:00Z",
    "started_at": "2026-01-01T12:00:01Z",
    "finished_at": None,
}
CANCELLED: Final[dict[str, Any]] = {
    "changed": True,
    "message": "The job is cancelled.",
    "job": {**JOB_OUT, "status": "cancelled", "stage": "cancelled", "eta_seconds": None},
}
