import pytest
import torch

from text2song.errors import OutOfMemory
from text2song.model.memory import memory_guard


def test_memory_that_torch_cannot_get_is_an_error_that_says_what_to_do() -> None:
    with (
        pytest.raises(OutOfMemory, match=r"Not enough memory to hold a petabyte\. Close"),
        memory_guard("hold a petabyte"),
    ):
        torch.empty(2**50)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_the_classes_for_it_are_understood_too(error: Exception) -> None:
    with pytest.raises(OutOfMemory), memory_guard("think"):
        raise error


def test_other_failures_pass_through() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot"), memory_guard("multiply"):
        torch.ones(2, 3) @ torch.ones(2, 3)
