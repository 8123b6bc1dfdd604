"""What `auto` chooses on which device, and what is refused."""

import pytest
import torch

from text2song.errors import ModelUnsupported
from text2song.model.dtypes import AUTO, BFLOAT16, DTYPES, FLOAT32, INT8, PRECISIONS
from text2song.model.precision import ORACLE, Precision, dtypes_on, precision_for

CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)


class Gpu:
    """A GPU in pretence, of some generation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.become(generation=(9, 0))

    def become(self, *, generation: tuple[int, int], computes_bfloat16: bool = True) -> None:
        self._monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: generation)
        self._monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: computes_bfloat16)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


def test_auto_takes_bfloat16_on_every_processor() -> None:
    assert precision_for(AUTO, device=CPU).name == BFLOAT16


@pytest.mark.parametrize(
    ("generation", "chosen"), [((9, 0), BFLOAT16), ((8, 0), BFLOAT16), ((7, 5), FLOAT32)]
)
def test_auto_takes_bfloat16_on_gpus_since_ampere(gpu: Gpu, generation: tuple[int, int], chosen: str) -> None:
    gpu.become(generation=generation)
    assert precision_for(AUTO, device=GPU).name == chosen


@pytest.mark.usefixtures("gpu")
def test_each_name_says_what_is_kept_what_flows_and_how_it_multiplies() -> None:
    full, half = torch.float32, torch.bfloat16
    assert {name: precision_for(name, device=CPU) for name in DTYPES} == {
        FLOAT32: Precision(FLOAT32, "packed", kept=full, flowing=full),
        BFLOAT16: Precision(BFLOAT16, "packed", kept=half, flowing=full),
        INT8: Precision(INT8, "int8", kept=full, flowing=full),
    }
    assert precision_for(BFLOAT16, device=GPU) == Precision(BFLOAT16, "plain", kept=half, flowing=half)
    assert (
        precision_for(FLOAT32, device=GPU) == ORACLE == Precision(FLOAT32, "plain", kept=full, flowing=full)
    )


@pytest.mark.parametrize(
    ("name", "device", "words"),
    [
        ("int3", CPU, "'int3' is not supported; this version knows auto, float32, bfloat16, int8"),
        ("", CPU, "not supported"),
        (INT8, GPU, "int8 is for processors"),
        (BFLOAT16, GPU, "bfloat16 cannot be used: this device does not compute in it"),
    ],
)
def test_what_a_device_does_not_compute_in_is_refused_with_what_to_do(
    gpu: Gpu, name: str, device: torch.device, words: str
) -> None:
    gpu.become(generation=(6, 1), computes_bfloat16=False)
    with pytest.raises(ModelUnsupported) as caught:
        precision_for(name, device=device)
    assert words in caught.value.message
    assert caught.value.field == "dtype"


@pytest.mark.parametrize("computes_bfloat16", [True, False])
@pytest.mark.parametrize("device", [CPU, GPU])
def test_the_dtypes_of_a_device_are_those_that_it_does_not_refuse(
    gpu: Gpu, device: torch.device, *, computes_bfloat16: bool
) -> None:
    gpu.become(generation=(7, 5), computes_bfloat16=computes_bfloat16)
    for name in DTYPES:
        try:
            precision_for(name, device=device)
            is_taken = True
        except ModelUnsupported:
            is_taken = False
        assert (name in dtypes_on(device)) == is_taken
    assert (AUTO, *DTYPES) == PRECISIONS
