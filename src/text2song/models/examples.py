"""Two models, a large and a small one, as the documentation of the API shows them."""

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
SMALL_MODEL_OUT: Final[dict[str, Any]] = {
    **MODEL_OUT,
    "id": "019b7a3c-5e00-7c1d-8f2a-1b6d5c0e9a03",
    "name": "text2song/bundled",
    "revision": "1",
    "fingerprint": "1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a",
    "license": "Apache-2.0",
    "notice": "This model is small. It understands styles: ambient; instruments: piano; moods: calm; "
    "tempo: 60 to 180 beats a minute. It passes over other words. For a larger one, run `text2song model add "
    "facebook/musicgen-small` and set TEXT2SONG_MODEL to it.",
    "vocabulary": {
        "styles": ["ambient"],
        "instruments": ["piano"],
        "moods": ["calm"],
        "tempo_range_bpm": [60.0, 180.0],
        "note": "It passes over other words.",
    },
}
