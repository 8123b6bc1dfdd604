"""One sample, as the documentation of the API shows it."""

from typing import Any, Final

_ID: Final = "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a03"
_SHA256: Final = "c9c728f34e3bc36ad12cee67643642b9a837ad52d5f1c284c31b575d8920f658"
_SENTENCE: Final = "warm lo-fi with a lazy piano, lo-fi, mellow, piano and brushed drums, 84 bpm"

SAMPLE_OUT: Final[dict[str, Any]] = {
    "id": _ID,
    "prompt_id": "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a01",
    "adapter_id": None,
    "storage_path": f"audio/c9/{_SHA256}.flac",
    "stream_url": f"/audio/{_ID}/stream",
    "duration_seconds": 8.0,
    "sample_rate": 32000,
    "channels": 1,
    "size_bytes": 697344,
    "sha256": _SHA256,
    "codes_sha256": "52d5f1c284c31b575d8920f658c9c728f34e3bc36ad12cee67643642b9a837ad",
    "loudness_lufs": -16.3,
    "true_peak_dbtp": -2.1,
    "sentence": _SENTENCE,
    "model": "facebook/musicgen-small",
    "is_untrained_noise": False,
    "generation_params": {
        "sentence": _SENTENCE,
        "seed": 7,
        "duration": 8.0,
        "temperature": 1.0,
        "top_k": 250,
        "top_p": 1.0,
        "guidance_scale": 3.0,
        "adapters": [],
    },
    "provenance": {
        "model": "facebook/musicgen-small",
        "revision": "4c8334b02c6ec4e8664a91979669a501ec497792",
        "fingerprint": "9f2c1d7e8b6a5f4039281706f5e4d3c2b1a0998877665544332211ffeeddccbb",
        "license": "CC-BY-NC-4.0",
        "is_trained": True,
        "dtype": "float32",
        "device": "cpu",
        "versions": {"text2song": "0.1.0", "torch": "2.13.0", "tokenizers": "0.23.3"},
        "token_ids": [1978, 6899, 18, 89, 23, 1],
    },
    "created_at": "2026-01-01T12:00:09Z",
    "user_id": None,
}
PEAKS_OUT: Final[dict[str, Any]] = {
    "full_scale": 127,
    "duration": 8.0,
    "lows": [-3, -41, -96, -12],
    "highs": [4, 38, 101, 9],
}
COMPARISON: Final[dict[str, Any]] = {
    "items": [{"sample": SAMPLE_OUT, "peaks_url": f"/audio/{_ID}/peaks", "playback_gain_db": -1.4}]
}
