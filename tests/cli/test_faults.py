import errno

import pytest

from text2song.cli.faults import explained
from text2song.errors import MissingPart, NotFound, StorageFailed, StorageFull


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("torch", "model"),
        ("tokenizers.models", "model"),
        ("fastapi", "server"),
        ("rich", "server"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(
    package: str, extra: str
) -> None:
    error = explained(ModuleNotFoundError(f"No module named {package!r}", name=package))
    assert isinstance(error, MissingPart)
    assert f"the package {package.partition('.')[0]}," in error.message
    assert f"run `make setup`, or install your wheel with [{extra}]" in error.message


def test_a_module_of_ours_that_is_missing_is_our_fault() -> None:
    assert explained(ModuleNotFoundError("gone", name="text2song.gone")) is None


def test_a_full_disk_and_a_file_that_cannot_be_used_are_told_apart() -> None:
    assert isinstance(explained(OSError(errno.ENOSPC, "No space left on device", "x")), StorageFull)
    refused = explained(PermissionError(errno.EACCES, "Permission denied", "some/file"))
    assert isinstance(refused, StorageFailed)
    assert "some/file" in refused.message


def test_an_error_of_the_studio_is_itself_and_a_bug_is_none() -> None:
    known = NotFound("there is none.")
    assert explained(known) is known
    assert explained(ValueError("a bug")) is None
