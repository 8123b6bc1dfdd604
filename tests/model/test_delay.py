import pytest
import torch

from text2song.model.delay import columns_for, delayed, frame_at, offsets_for, undelayed

SPECIAL = 2048


def test_offsets_are_one_step_a_codebook_and_shared_by_a_stereo_pair() -> None:
    assert offsets_for(4, channels=1) == (0, 1, 2, 3)
    assert offsets_for(8, channels=2) == (0, 0, 1, 1, 2, 2, 3, 3)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 3, 25])
def test_delayed_scatters_each_code_to_its_step_and_back(channels: int, frames: int) -> None:
    offsets = offsets_for(4 * channels, channels=channels)
    codes = torch.randint(0, SPECIAL, (len(offsets), frames), generator=torch.Generator().manual_seed(1))

    steps = delayed(codes, offsets=offsets, special=SPECIAL)

    expected = torch.full((len(offsets), frames + 4), SPECIAL)
    for k in range(len(offsets)):
        for t in range(frames):
            expected[k, t + 1 + k // channels] = codes[k, t]
    assert torch.equal(steps, expected)
    assert torch.equal(undelayed(steps, offsets=offsets), codes)
    assert steps.shape[1] == columns_for(frames, offsets=offsets)


@pytest.mark.parametrize("channels", [1, 2])
def test_each_place_holds_the_code_of_its_frame_or_none(channels: int) -> None:
    offsets = offsets_for(4 * channels, channels=channels)
    codes = torch.arange(5).repeat(len(offsets), 1)
    steps = delayed(codes, offsets=offsets, special=SPECIAL)

    for column in range(steps.shape[1]):
        for k, offset in enumerate(offsets):
            frame = frame_at(column, offset=offset)
            assert steps[k, column] == (frame if 0 <= frame < 5 else SPECIAL)
