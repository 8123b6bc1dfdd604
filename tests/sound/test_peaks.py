import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from text2song.errors import InvalidInput
from text2song.sound.peaks import BUCKET_LIMIT, Peaks, peaks
from text2song.sound.waveform import Waveform


def slow_peaks(waveform: Waveform, *, buckets: int) -> tuple[list[int], list[int]]:
    samples = waveform.pcm.shape[1]
    count = min(buckets, samples)
    lows, highs = [], []
    for bucket in range(count):
        inside = [
            float(channel[n])
            for channel in waveform.pcm
            for n in range(bucket * samples // count, (bucket + 1) * samples // count)
        ]
        lows.append(max(-127, min(127, round(float(np.float32(min(inside)) * np.float32(127))))))
        highs.append(max(-127, min(127, round(float(np.float32(max(inside)) * np.float32(127))))))
    return lows, highs


@given(
    channels=st.integers(1, 3),
    samples=st.integers(1, 60),
    buckets=st.integers(1, 80),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_equals_the_slow_loop(channels: int, samples: int, buckets: int, seed: int) -> None:
    pcm = np.random.default_rng(seed).uniform(-1.2, 1.2, (channels, samples)).astype(np.float32)
    waveform = Waveform(pcm, 100)

    found = peaks(waveform, buckets=buckets)

    assert (list(found.lows), list(found.highs)) == slow_peaks(waveform, buckets=buckets)


def test_one_loud_sample_is_seen_in_its_bucket_alone() -> None:
    pcm = np.zeros((2, 1000), dtype=np.float32)
    pcm[1, 437] = -1.0

    found = peaks(Waveform(pcm, 1000), buckets=10)

    assert found.lows == (0, 0, 0, 0, -127, 0, 0, 0, 0, 0)
    assert found.highs == (0,) * 10


def test_the_stored_form_is_json_of_whole_numbers() -> None:
    pcm = np.array([[0.5, -0.25]], dtype=np.float32)

    stored = json.loads(json.dumps(peaks(Waveform(pcm, 4), buckets=1).as_json()))

    assert stored == {"full_scale": 127, "duration": 0.5, "lows": [-32], "highs": [64]}


def test_no_samples_have_no_peaks() -> None:
    assert peaks(Waveform(np.zeros((1, 0), np.float32), 4), buckets=5) == Peaks((), (), 0.0)


@pytest.mark.parametrize("buckets", [0, -1, BUCKET_LIMIT + 1, True])
def test_the_number_of_buckets_is_bounded(buckets: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        peaks(Waveform(np.zeros((1, 9), np.float32), 4), buckets=buckets)
    assert caught.value.field == "buckets"
