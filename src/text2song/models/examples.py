"""One model, as the documentation of the API shows it."""

from typing import Any, Final

MODEL_OUT: Final[dict[str, Any]] = {
    "id": "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a02",
    "name": "facebook/musicgen-small",
    "revision": "4c8334b02c6ec4e8664a91979669a501ec497792",
    "fingerprint": "9f2c1d7e8b6a5f4039281706f5e4d3c2b1a0998877665544332211ffeeddccbb",
    "license": "CC-BY-NC-4.0",
    "is_trained": True,
    "notice": None,
    "sample_rate": 32000,
    "frame_rate": 50.0,
    "channels": 1,
    "codebooks": 4,
    "codebook_size": 2048,
    "max_duration_seconds": 30.0,
    "module_shapes": {"decoder.layers.0.fc1": [4096, 1024]},
    "vocabulary": None,
    "workers": [
        {
            "name": "studio:4711",
            "dtype": "float32",
            "device": "cpu",
            "capacity": 8,
            "speed": 1.7,
            "heartbeat_at": "2026-01-01T12:00:10Z",
        }
    ],
}
