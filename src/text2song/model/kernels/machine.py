"""This processor: what it can, and kernels in its own code."""

import ctypes
import platform
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import llvmlite.binding as llvm
import torch
from torch import Tensor

from text2song.errors import ModelUnsupported
from text2song.model.kernels.lanes import Kernel

Compiled = Callable[..., None]
"""A kernel that can be called, with as many whole numbers as it has arguments. Lets go of Python's lock."""

_WIDE: Final = ("avx512", "evex512", "avx10", "amx")


@cache
def features() -> dict[str, bool]:
    """LLVM's names of the processor's abilities, by whether it has them.

    Where torch was told by `ATEN_CPU_CAPABILITY` to do without AVX-512, so do kernels: that is how the speed
    on a smaller processor is measured.
    """
    found = dict(llvm.get_host_cpu_features())
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "DEFAULT"):
        found |= {name: False for name in found if name.startswith(_WIDE)}
    return found


def has_wide_registers() -> bool:
    """Whether 32 registers hold 16 float32 each."""
    return features().get("avx512f", False)


def multiplies_bfloat16_pairs() -> bool:
    """Whether it adds up products of two pairs of bfloat16 in one instruction."""
    return has_wide_registers() and features().get("avx512bf16", False)


def _machine() -> Any:  # noqa: ANN401  # llvmlite has no types
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    flags = ",".join(f"{'+' if has else '-'}{name}" for name, has in features().items())
    cpu = llvm.get_host_cpu_name() if platform.machine() not in ("x86_64", "AMD64") else "x86-64-v3"
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=flags, opt=3)


def address_of(numbers: Tensor) -> int:
    """Where a kernel finds float32 numbers behind each other.

    Raises:
        ValueError: they are of another dtype, or apart.
    """
    if numbers.dtype != torch.float32 or not numbers.is_contiguous():
        raise ValueError(
            f"a kernel takes contiguous float32, not {numbers.dtype} of strides {numbers.stride()}"
        )
    return numbers.data_ptr()


def require_compiler() -> None:
    """Kernels can be made here.

    Raises:
        ModelUnsupported: the compiler fails, with what it says.
    """
    try:
        compiled(Kernel("nothing"))()
    except Exception as error:  # whatever llvmlite raises: it names no classes
        raise ModelUnsupported(
            f"llvmlite cannot compile for this processor: {error}. Reinstall it, or use another machine."
        ) from error


_engines: list[Any] = []
"""What holds the code; it must live as long as anybody may call it, and kernels are made once."""


def compiled(kernel: Kernel) -> Compiled:
    """Translate a kernel that is written: about a tenth of a second."""
    module = llvm.parse_assembly(kernel.finished())
    module.verify()
    machine = _machine()
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    address = engine.get_function_address(kernel.name)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(kernel.arguments))(address)
