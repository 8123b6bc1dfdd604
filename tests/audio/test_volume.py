from tests.audio.samples import make_sample
from text2song.audio.volume import Volume, measure
from text2song.studio import Studio


def test_all_samples_are_measured_together(studio: Studio) -> None:
    with studio.read() as reader:
        assert measure(reader) == Volume(samples=0, audio_seconds=0.0, size_bytes=0)
    made = [make_sample(studio, seed=seed) for seed in (0, 0, 1)]
    with studio.read() as reader:
        assert measure(reader) == Volume(3, 1.5, sum(sample.size_bytes for sample in made))
