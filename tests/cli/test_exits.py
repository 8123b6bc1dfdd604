from collections.abc import Iterator

import pytest

from text2song import errors
from text2song.cli.exits import EXITS, MEANINGS, ExitCode, exit_code_of


def tree(kind: type[errors.StudioError]) -> Iterator[type[errors.StudioError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


ALL = list(tree(errors.StudioError))


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.code)
def test_every_error_ends_a_command_with_a_code_that_is_explained(kind: type[errors.StudioError]) -> None:
    assert exit_code_of(kind) in set(MEANINGS) - {ExitCode.OK, ExitCode.INTERRUPTED}


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.code)
def test_a_script_that_tries_again_on_five_is_right(kind: type[errors.StudioError]) -> None:
    if exit_code_of(kind) is ExitCode.UNAVAILABLE:
        assert kind.is_retryable
    if kind.is_retryable:
        assert exit_code_of(kind) in {ExitCode.UNAVAILABLE, ExitCode.FAILED}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InvalidCursor, 2),
        (errors.PortInUse, 3),
        (errors.SchemaTooNew, 3),
        (errors.ModelMissing, 3),
        (errors.ForeignHost, 3),
        (errors.NotFound, 4),
        (errors.DatabaseBusy, 5),
        (errors.DownloadFailed, 5),
        (errors.TakesFailed, 1),
        (errors.UnexpectedFailure, 1),
    ],
)
def test_the_codes_are_these(kind: type[errors.StudioError], code: int) -> None:
    assert exit_code_of(kind) == code


def test_every_code_has_a_meaning_and_the_table_holds_only_errors() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert set(EXITS) <= set(ALL)
