"""Checks of what is installed. Each imports what it checks, so each may find that it is missing."""

import importlib
import platform
from importlib.metadata import version
from typing import Final

from text2song.cli.doctor.findings import Finding, State
from text2song.sound.files import FORMATS

SERVER_MODULES: Final = ("alembic", "fastapi", "httpx2", "obstore", "sqlalchemy", "uvicorn")


def check_python() -> Finding:
    """The interpreter; what installed this package has made sure that it is new enough."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", State.OK, f"{found}, text2song {version('text2song')}")


def check_numpy() -> Finding:
    """The arrays."""
    return Finding("numpy", State.OK, version("numpy"))


def check_torch() -> Finding:
    """The neural network's library, and what it computes on."""
    import torch  # noqa: PLC0415  # it may be missing, and takes seconds

    where = f"{torch.get_num_threads()} CPU threads"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        listed = ", ".join(f"cuda:{n} ({name})" for n, name in enumerate(names))
        where += f"; TEXT2SONG_DEVICE may name {listed}"
    return Finding("torch", State.OK, f"{torch.__version__}, tokenizers {version('tokenizers')}, {where}")


def check_compiler() -> Finding:
    """What makes loops for this processor, by making one."""
    from text2song.model.kernels.machine import (  # noqa: PLC0415  # needs torch, which may be missing
        has_wide_registers,
        multiplies_bfloat16_pairs,
        require_compiler,
    )

    require_compiler()
    used = [
        *(["AVX-512"] if has_wide_registers() else []),
        *(["AVX512-BF16"] if multiplies_bfloat16_pairs() else []),
    ]
    loops = f", loops with {' and '.join(used)}" if used else ""
    return Finding("compiler", State.OK, f"llvmlite {version('llvmlite')}{loops}")


def check_command_line() -> Finding:
    """What this very command is made of."""
    return Finding("command line", State.OK, f"typer {version('typer')}, rich {version('rich')}")


def check_server() -> Finding:
    """What `serve` needs beside torch."""
    for name in SERVER_MODULES:
        importlib.import_module(name)
    listed = ", ".join(f"{name} {version(name)}" for name in ("fastapi", "sqlalchemy", "uvicorn"))
    return Finding("server", State.OK, listed)


def check_sound() -> Finding:
    """The formats that can be written."""
    import soundfile  # noqa: PLC0415  # it may be missing

    known = soundfile.available_formats()
    missing = [f.name for f in FORMATS.values() if f.container not in known]
    found = f"soundfile {soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}"
    if missing:
        return Finding(
            "sound",
            State.NOTE,
            f"{found}, which cannot write {', '.join(missing)}. Newer wheels of soundfile can: run "
            "`pip install --upgrade soundfile`.",
        )
    return Finding("sound", State.OK, f"{found}: {', '.join(FORMATS)}")
