"""What a command's exit code says, for scripts: one table over the error tree, read by class."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from text2song import errors


class ExitCode(IntEnum):
    """All the codes that `text2song` ends with."""

    OK = 0
    FAILED = 1
    INVALID = 2
    SETUP = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    INTERRUPTED = 130


MEANINGS: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.OK: "done",
        ExitCode.FAILED: "the work failed",
        ExitCode.INVALID: "what was asked for cannot be: an option, a value, a file that is in the way",
        ExitCode.SETUP: "the installation is not as it must be: a part, a setting, the port, the model",
        ExitCode.NOT_FOUND: "nothing has that id",
        ExitCode.UNAVAILABLE: "not available now: the same command may work later",
        ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
    }
)

EXITS: Final[Mapping[type[errors.StudioError], ExitCode]] = MappingProxyType(
    {
        errors.StudioError: ExitCode.FAILED,
        errors.InvalidInput: ExitCode.INVALID,
        errors.NotFound: ExitCode.NOT_FOUND,
        errors.Refused: ExitCode.SETUP,
        errors.TooLarge: ExitCode.INVALID,
        errors.RangeUnsatisfiable: ExitCode.INVALID,
        errors.Unavailable: ExitCode.UNAVAILABLE,
        errors.SetupError: ExitCode.SETUP,
        errors.ModelMissing: ExitCode.SETUP,
        errors.ModelCorrupt: ExitCode.SETUP,
        errors.ModelUnsupported: ExitCode.SETUP,
        errors.DownloadFailed: ExitCode.UNAVAILABLE,
        errors.OutOfMemory: ExitCode.UNAVAILABLE,
    }
)
"""A class that is not named has its parent's code."""


def exit_code_of(kind: type[errors.StudioError]) -> ExitCode:
    """The code that this class of error ends a command with."""
    return errors.meaning_of(kind, EXITS)
