"""What of a processor's abilities is used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from text2song.errors import ModelUnsupported
from text2song.model.kernels import machine
from text2song.model.musicgen import MusicGen

ASK = (
    "from text2song.model.kernels import machine as m;"
    "print(m.has_wide_registers(), m.multiplies_bfloat16_pairs(), any(m.features()[n] for n in m.features() "
    "if n.startswith('avx512')))"
)


def test_where_torch_does_without_wide_registers_so_do_kernels() -> None:
    """`ATEN_CPU_CAPABILITY` is how a benchmark measures what a smaller processor would do."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "avx2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False", "False"]


def test_pairs_need_wide_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "features", lambda: {"avx512bf16": True})
    assert not machine.multiplies_bfloat16_pairs()
    monkeypatch.setattr(machine, "features", lambda: {"avx512bf16": True, "avx512f": True})
    assert machine.multiplies_bfloat16_pairs()


@pytest.mark.parametrize(
    "numbers", [torch.ones(4, 4).T[1:], torch.ones(4, dtype=torch.bfloat16), torch.ones(8)[::2]]
)
def test_what_a_kernel_would_misread_is_refused(numbers: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="contiguous float32"):
        machine.address_of(numbers)
    whole = torch.ones(4, 4)
    assert machine.address_of(whole[1:]) == whole.data_ptr() + 16


def test_a_compiler_that_fails_is_told_when_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, noise_folder: Path
) -> None:
    def fail(_text: str) -> None:
        raise RuntimeError("no such target")

    monkeypatch.setattr("text2song.model.kernels.machine.llvm.parse_assembly", fail)
    with pytest.raises(ModelUnsupported, match="cannot compile for this processor: no such target"):
        MusicGen.load(noise_folder)


def test_engines_are_closed_one_by_one() -> None:
    """Each owns what it compiles with: one machine for two of them was freed twice."""
    program = (
        "from text2song.model.kernels import machine as m; from text2song.model.kernels.lanes import Kernel\n"
        "for name in ('one', 'two'): m.compiled(Kernel(name))()\n"
        "for engine in m._engines: engine.close()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
