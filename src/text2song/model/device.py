"""Where a model computes: the processor, or one GPU that torch can reach.

On a GPU the networks are the same and the products are torch's own (`linear.py`); chances are drawn
on the processor in both cases, so a seed's stream of chance is one. The logits' last bits differ
between kinds of devices, and so, now and then, do the codes. On a GPU they may depend on the rows that
share a product, too: what decision 0005 promises of a row in any company holds on processors.
"""

from typing import Final

import torch

from text2song.errors import ModelUnsupported
from text2song.model.free_memory import free_bytes

_CPU: Final = torch.device("cpu")


def usable_device(name: str) -> torch.device:
    """The device of that name, `cpu`, `cuda` or `cuda:1`; `cuda` alone is the first GPU.

    A GPU is set to compute in float32 where it says so, in this whole process: cuDNN's convolutions, by
    which the codec makes sound, otherwise round each factor to TF32, which has 10 bits where float32 has 23.

    Raises:
        ModelUnsupported: another kind of device, or a GPU that this machine or this torch lacks.
    """
    kind, colon, number = name.partition(":")
    if name == "cpu":
        return _CPU
    if kind != "cuda" or (colon and not number.isdecimal()):
        raise _refusal(f"The device {name!r} is not supported; this version knows cpu and cuda:0, cuda:1, ….")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) < found:
        torch.backends.cudnn.allow_tf32 = False
        return torch.device("cuda", int(number or 0))
    if found:
        known = ", ".join(f"cuda:{n}" for n in range(found))
        raise _refusal(f"The device {name!r} is not there: torch sees {known}. Use one of them, or use cpu.")
    if torch.version.cuda is None:
        raise _refusal(
            f"The device {name!r} cannot be used: torch {torch.__version__} is built for processors alone. "
            "Install torch for your GPU (https://pytorch.org/get-started), or use cpu."
        )
    raise _refusal(
        f"The device {name!r} is not there: torch finds no GPU. See whether `nvidia-smi` does, or use cpu."
    )


def free_on(device: torch.device) -> int | None:
    """Bytes that are free there for a model; None where no system says."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()


def device_title(device: torch.device) -> str:
    """What makes the numbers, for a take's provenance: `cpu`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _refusal(message: str) -> ModelUnsupported:
    return ModelUnsupported(message, field="device")
