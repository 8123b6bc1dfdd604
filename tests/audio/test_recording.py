"""What is measured of a take, held against other ways to measure it."""

import hashlib
import io
import itertools
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import soundfile

from tests.benches import Bench
from tests.studios import Desk
from text2song.artifacts.codes import unpack
from text2song.audio.recording import digest_of_codes, record
from text2song.audio.tables import AudioSample
from text2song.blobs.memory import MemoryBlobs
from text2song.sound.waveform import Waveform

DURATIONS = (0.5, 1.0, 1.99, 3.333)


@pytest.fixture(scope="module", name="samples")
def make_samples(shared_bench: Bench) -> list[dict[str, Any]]:
    jobs = [
        shared_bench.desk.submit(generation_params={"seed": 7, "duration": seconds}) for seconds in DURATIONS
    ]
    shared_bench.work()
    return [shared_bench.sample(job) for job in jobs]


def decoded(desk: Desk, sample: dict[str, Any]) -> tuple[Any, int]:
    """PCM [N, C] and rate, read by libsndfile alone."""
    content = desk.client.get(sample["stream_url"]).content
    pcm, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    return pcm, rate


def test_the_duration_is_as_asked_within_one_codec_frame(
    shared_bench: Bench, samples: list[dict[str, Any]]
) -> None:
    for asked, sample in zip(DURATIONS, samples, strict=True):
        pcm, rate = decoded(shared_bench.desk, sample)
        assert abs(len(pcm) / rate - asked) <= 1 / shared_bench.info.frame_rate
        assert sample["duration_seconds"] == len(pcm) / rate
        assert (sample["sample_rate"], sample["channels"]) == (rate, pcm.shape[1]) == (32_000, 1)


def test_the_loudness_is_what_pyloudnorm_reads_from_the_file(
    shared_desk: Desk, samples: list[dict[str, Any]]
) -> None:
    for sample in samples:
        pcm, rate = decoded(shared_desk, sample)
        whole_blocks = len(pcm) // (rate // 10) * (rate // 10)  # the standard leaves the rest out
        lufs = pyloudnorm.Meter(rate).integrated_loudness(pcm[:whole_blocks])
        assert sample["loudness_lufs"] == pytest.approx(lufs, abs=0.01)


def test_the_true_peak_is_that_of_the_oversampled_file(
    shared_desk: Desk, samples: list[dict[str, Any]]
) -> None:
    for sample in samples:
        pcm, _ = decoded(shared_desk, sample)
        between = 4 * np.abs(np.fft.irfft(np.fft.rfft(pcm[:, 0]), 4 * len(pcm))).max()
        peak_dbtp = 20 * np.log10(max(between, np.abs(pcm).max()))
        assert sample["true_peak_dbtp"] == pytest.approx(peak_dbtp, abs=0.2)
        assert sample["true_peak_dbtp"] >= 20 * np.log10(np.abs(pcm).max()) - 1e-4


def test_the_outline_is_drawn_from_the_same_sound(shared_desk: Desk, samples: list[dict[str, Any]]) -> None:
    for sample in samples:
        answer = shared_desk.client.get(f"/audio/{sample['id']}/peaks")
        assert "immutable" in answer.headers["cache-control"]
        outline = answer.json()
        pcm, _ = decoded(shared_desk, sample)
        edges = [bucket * len(pcm) // 1000 for bucket in range(1001)]
        parts = [pcm[start:end, 0] for start, end in itertools.pairwise(edges)]
        assert len(outline["lows"]) == len(outline["highs"]) == len(parts)
        assert outline["duration"] == sample["duration_seconds"]
        full_scale = outline["full_scale"]
        for part, low, high in zip(parts, outline["lows"], outline["highs"], strict=True):
            assert low == pytest.approx(part.min() * full_scale, abs=0.51)
            assert high == pytest.approx(part.max() * full_scale, abs=0.51)


def test_the_codes_are_kept_beside_the_sound(
    shared_bench: Bench, shared_desk: Desk, samples: list[dict[str, Any]]
) -> None:
    with shared_desk.studio.read() as reader:
        for asked, sample in zip(DURATIONS, samples, strict=True):
            row = reader.session.query(AudioSample).filter_by(codes_sha256=sample["codes_sha256"]).one()
            codes = unpack(reader.blobs.read(row.codes_path, verify=True)).codes
            assert codes.shape == (4, shared_bench.info.frames_for(asked))
            assert digest_of_codes(codes) == sample["codes_sha256"]
            content = f"{codes.shape[0]},{codes.shape[1]}:".encode() + codes.astype("<i2").tobytes()
            assert sample["codes_sha256"] == hashlib.sha256(content).hexdigest()


def test_equal_codes_have_equal_digests_and_no_others_do() -> None:
    codes = np.arange(12, dtype=np.int16).reshape(4, 3)
    assert digest_of_codes(codes) == digest_of_codes(np.asfortranarray(codes))
    assert digest_of_codes(codes) != digest_of_codes(codes.reshape(3, 4))
    assert digest_of_codes(codes) != digest_of_codes(codes + np.int16(1))


def test_the_record_says_how_the_sample_came_to_be(
    shared_bench: Bench, samples: list[dict[str, Any]]
) -> None:
    info, sample = shared_bench.info, samples[0]
    assert sample["sentence"] == sample["generation_params"]["sentence"] == "a slow walk home"
    assert sample["generation_params"]["seed"] == 7
    assert sample["generation_params"]["adapters"] == []
    assert (sample["model"], sample["is_untrained_noise"]) == (info.id, True)
    provenance = sample["provenance"]
    assert (provenance["revision"], provenance["fingerprint"]) == (info.revision, info.fingerprint)
    made_with = (provenance["license"], provenance["dtype"], provenance["device"])
    assert made_with == (info.license, "float32", "cpu")
    assert set(provenance["versions"]) == {"text2song", "torch", "tokenizers"}
    assert provenance["token_ids"][-1] == 1  # T5's end of the sentence
    assert len(provenance["token_ids"]) == len("a slow walk home") + 1


def test_what_a_recording_says_is_what_it_stored() -> None:
    blobs = MemoryBlobs()
    pcm = (0.5 * np.sin(np.arange(32_000) / 7)).astype(np.float32)[None, :]
    codes = np.zeros((4, 50), np.int16)
    waveform = Waveform(pcm, 32_000)
    recording = record(blobs, waveform, codes, codebook_size=2048, metadata={"sentence": "x"})
    for stored in (recording.audio, recording.peaks, recording.codes):
        content = blobs.read(stored.key, verify=True)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (stored.size_bytes, stored.sha256)
    assert (recording.duration_seconds, recording.sample_rate, recording.channels) == (1.0, 32_000, 1)
    again = record(blobs, waveform, codes, codebook_size=2048, metadata={"sentence": "x"})
    assert again == recording
