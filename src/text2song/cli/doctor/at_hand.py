"""What the device of the settings has at hand: free memory, and the dtypes that it computes in.

Torch knows the dtypes and the GPUs; without it a processor is still told of, as far as that goes.
"""

from text2song.model.dtypes import AUTO, DTYPES, FLOAT32
from text2song.model.free_memory import free_bytes
from text2song.settings import Settings


def free_at_hand(settings: Settings) -> int | None:
    """Bytes that are free on the device; None where no system says.

    Raises:
        ImportError: it is a GPU, and torch is not installed.
        ModelUnsupported: it is not there.
    """
    if settings.device == "cpu":
        return free_bytes()
    from text2song.model.device import free_on, usable_device  # noqa: PLC0415  # torch, which may be missing

    return free_on(usable_device(settings.device))


def dtypes_at_hand(settings: Settings) -> tuple[str, ...]:
    """The dtypes that the device computes in; all, where nobody can say.

    Raises:
        ModelUnsupported: the device is not there.
    """
    try:
        from text2song.model.device import usable_device  # noqa: PLC0415  # as above
        from text2song.model.precision import dtypes_on  # noqa: PLC0415  # as above
    except ImportError:
        return DTYPES
    return dtypes_on(usable_device(settings.device))


def chosen_dtype(settings: Settings) -> str:
    """What a worker would compute in; float32, which takes most, where the choice is nobody's.

    Raises:
        ModelUnsupported: the device is not there, or does not compute in what the settings say.
    """
    try:
        from text2song.model.device import usable_device  # noqa: PLC0415  # as above
        from text2song.model.precision import precision_for  # noqa: PLC0415  # as above
    except ImportError:
        return FLOAT32 if settings.dtype == AUTO else settings.dtype
    return precision_for(settings.dtype, device=usable_device(settings.device)).name
