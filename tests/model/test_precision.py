"""What `auto` chooses on which device, what is refused, and the trial that a dtype stands before its use."""

import logging
from collections.abc import Callable

import pytest
import torch

from text2song.errors import ModelUnsupported
from text2song.model import precision as under_test
from text2song.model.dtypes import AUTO, BFLOAT16, DTYPES, FLOAT32, INT8, PRECISIONS
from text2song.model.linear import Product, product
from text2song.model.precision import (
    ORACLE,
    Precision,
    company_holds,
    dtypes_on,
    multiplies_bfloat16,
    precision_for,
)
from text2song.model.shapes import DecoderShape

CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)
SHAPE = DecoderShape(
    layers=24, width=1024, heads=16, ffn_width=4096, codebooks=4, channels=1, codebook_size=2048, positions=64
)
Capable = Callable[..., None]


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> Capable:
    """Makes this processor, and a GPU in pretence, capable of bfloat16 or not."""

    def pretend(
        *, computes: bool, has_instructions: bool = True, generation: tuple[int, int] = (9, 0)
    ) -> None:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_instructions)
        monkeypatch.setattr(under_test, "_can_bfloat16", lambda _: computes)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: generation)

    return pretend


@pytest.mark.parametrize(
    ("computes", "has_instructions", "chosen"),
    [(True, True, BFLOAT16), (True, False, FLOAT32), (False, True, FLOAT32), (False, False, FLOAT32)],
)
def test_auto_takes_bfloat16_where_a_processor_multiplies_in_it(
    capable: Capable, chosen: str, *, computes: bool, has_instructions: bool
) -> None:
    capable(computes=computes, has_instructions=has_instructions)
    assert precision_for(AUTO, device=CPU).name == chosen


@pytest.mark.parametrize(
    ("generation", "chosen"), [((9, 0), BFLOAT16), ((8, 0), BFLOAT16), ((7, 5), FLOAT32)]
)
def test_auto_takes_bfloat16_on_gpus_since_ampere(
    capable: Capable, generation: tuple[int, int], chosen: str
) -> None:
    capable(computes=True, has_instructions=False, generation=generation)
    assert precision_for(AUTO, device=GPU).name == chosen


def test_each_name_says_what_flows_and_how_it_multiplies(capable: Capable) -> None:
    capable(computes=True)
    found = {name: precision_for(name, device=CPU) for name in DTYPES}
    assert found == {
        FLOAT32: Precision(FLOAT32, torch.float32, "packed"),
        BFLOAT16: Precision(BFLOAT16, torch.bfloat16, "packed"),
        INT8: Precision(INT8, torch.float32, "int8"),
    }
    assert [found[name].numbers.itemsize for name in DTYPES] == [4, 2, 4]
    assert precision_for(BFLOAT16, device=GPU) == Precision(BFLOAT16, torch.bfloat16, "plain")
    assert precision_for(FLOAT32, device=GPU) == ORACLE == Precision(FLOAT32, torch.float32, "plain")


@pytest.mark.parametrize(
    ("name", "device", "words"),
    [
        ("int3", CPU, "'int3' is not supported; this version knows auto, float32, bfloat16, int8"),
        ("", CPU, "not supported"),
        (INT8, GPU, "int8 is for processors"),
        (BFLOAT16, CPU, "bfloat16 cannot be used: this device does not compute in it"),
        (BFLOAT16, GPU, "bfloat16 cannot be used"),
    ],
)
def test_what_a_device_does_not_compute_in_is_refused_with_what_to_do(
    capable: Capable, name: str, device: torch.device, words: str
) -> None:
    capable(computes=False)
    with pytest.raises(ModelUnsupported) as caught:
        precision_for(name, device=device)
    assert words in caught.value.message
    assert caught.value.field == "dtype"


@pytest.mark.parametrize("computes", [True, False])
@pytest.mark.parametrize("device", [CPU, GPU])
def test_the_dtypes_of_a_device_are_those_that_it_does_not_refuse(
    capable: Capable, device: torch.device, *, computes: bool
) -> None:
    capable(computes=computes)
    for name in DTYPES:
        try:
            precision_for(name, device=device)
            is_taken = True
        except ModelUnsupported:
            is_taken = False
        assert (name in dtypes_on(device)) == is_taken
    assert (AUTO, *DTYPES) == PRECISIONS


# --- The trial ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", dtypes_on(CPU))
def test_on_this_processor_each_dtype_passes_at_musicgens_widths(dtype: str) -> None:
    assert company_holds(precision_for(dtype, device=CPU), SHAPE)


def test_plain_products_of_which_nothing_is_promised_are_not_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(under_test, "product", unsteady(torch.float32, from_rows=2))
    with caplog.at_level(logging.DEBUG):
        assert precision_for(FLOAT32, device=GPU, shape=SHAPE) == ORACLE
    assert caplog.records == []


def unsteady(numbers: torch.dtype, *, from_rows: int) -> Callable[..., Product]:
    """A processor on which products of these numbers have another last bit from so many rows on."""

    def make(weight: torch.Tensor, *, backend: str) -> Product:
        multiply = product(weight, backend="plain" if backend == "plain" else "packed")
        if weight.dtype != numbers:
            return multiply
        return lambda x: multiply(x) * (1 + 2**-7 * (len(x) >= from_rows))

    return make


@pytest.mark.parametrize("from_rows", [2, 3, 8, 16, 17, 32])
def test_rows_that_change_with_their_number_are_noticed_from_each_number_on(
    monkeypatch: pytest.MonkeyPatch, from_rows: int
) -> None:
    monkeypatch.setattr(under_test, "product", unsteady(torch.float32, from_rows=from_rows))
    assert not company_holds(precision_for(FLOAT32, device=CPU), SHAPE)
    monkeypatch.setattr(under_test, "product", unsteady(torch.float32, from_rows=33))
    assert company_holds(precision_for(FLOAT32, device=CPU), SHAPE)


@pytest.fixture
def bfloat16_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this processor, too, whether or not it is."""
    monkeypatch.setattr(under_test, "multiplies_bfloat16", lambda _: True)
    monkeypatch.setattr(under_test, "_can_bfloat16", lambda _: True)


needs_bfloat16 = pytest.mark.skipif(BFLOAT16 not in dtypes_on(CPU), reason="no bfloat16 on this processor")


@needs_bfloat16
@pytest.mark.usefixtures("bfloat16_is_fast")
def test_auto_takes_float32_where_bfloat16_depends_on_company(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert precision_for(AUTO, device=CPU, shape=SHAPE).name == BFLOAT16
    monkeypatch.setattr(under_test, "product", unsteady(torch.bfloat16, from_rows=17))
    with caplog.at_level(logging.INFO):
        assert precision_for(AUTO, device=CPU, shape=SHAPE).name == FLOAT32
    [record] = caplog.records
    assert (record.levelname, "computing in float32" in record.message) == ("INFO", True)


@pytest.mark.parametrize("name", [AUTO, FLOAT32])
def test_where_float32_depends_on_company_too_that_is_told_and_not_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(under_test, "multiplies_bfloat16", lambda _: False)
    monkeypatch.setattr(under_test, "product", unsteady(torch.float32, from_rows=16))
    assert precision_for(name, device=CPU, shape=SHAPE).name == FLOAT32
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "float32 products depend on their company" in record.message
    assert "TEXT2SONG_CAPACITY=1" in record.message


@needs_bfloat16
def test_a_dtype_that_was_asked_for_is_tried_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(under_test, "product", unsteady(torch.bfloat16, from_rows=2))
    assert precision_for(BFLOAT16, device=CPU, shape=SHAPE).name == BFLOAT16
    assert "bfloat16 products depend" in caplog.text


def test_bfloat16_is_fast_only_where_it_can_be_computed() -> None:
    assert not multiplies_bfloat16(CPU) or BFLOAT16 in dtypes_on(CPU)
