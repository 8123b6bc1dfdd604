from collections.abc import Iterator

import pytest
import torch

from text2song.model.threads import limited_threads, thread_limit


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_threads_are_limited_inside_and_given_back() -> None:
    with limited_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), limited_threads(1):
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("limit", [None, 2, 8])
def test_a_limit_never_adds_threads(limit: int | None) -> None:
    with limited_threads(limit):
        assert torch.get_num_threads() == 2


def test_only_small_models_are_limited() -> None:
    assert thread_limit(100_000) == 1
    assert thread_limit(300_000_000) is None
