"""What `doctor` does: one check after the other, each of which may fail without ending the rest."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final

import typer

from text2song.cli.answer import Answer, told
from text2song.cli.doctor.checks_of_memory import check_memory
from text2song.cli.doctor.checks_of_parts import (
    check_command_line,
    check_compiler,
    check_numpy,
    check_python,
    check_server,
    check_sound,
    check_torch,
)
from text2song.cli.doctor.checks_of_queue import check_queue
from text2song.cli.doctor.checks_of_state import (
    check_blobs,
    check_database,
    check_home,
    check_model,
    check_port,
)
from text2song.cli.doctor.findings import Finding, State
from text2song.cli.doctor.sizes import Sizes, published_sizes
from text2song.cli.exits import ExitCode
from text2song.cli.faults import explained
from text2song.cli.opening import QUIET_LEVEL
from text2song.errors import InvalidSetting, ModelUnsupported
from text2song.jobs.open import THREAD_URL
from text2song.logs import configure_logging
from text2song.settings import Settings, load_settings

Check = Callable[[], Finding]

_PARTS: Final[dict[str, Check]] = {
    "python": check_python,
    "numpy": check_numpy,
    "torch": check_torch,
    "compiler": check_compiler,
    "command line": check_command_line,
    "server": check_server,
    "sound": check_sound,
}
_OF_WORKERS: Final = ("torch", "compiler", "model", "memory")
"""What only a process that makes takes needs."""


def examine(answer: Answer, *, port: int) -> None:
    """Run every check and answer what was found.

    Raises:
        typer.Exit: with 1, where something must be done.
    """
    configure_logging(json=False, level=QUIET_LEVEL)  # standard output is for the findings alone
    findings = list(_findings(port=port))
    is_healthy = all(finding.state is not State.PROBLEM for finding in findings)
    document: dict[str, Any] = {"healthy": is_healthy, "checks": [asdict(finding) for finding in findings]}
    lines = [_line(finding) for finding in findings]
    if (sizes := _sizes()) is not None:
        document["memory"] = sizes.as_json()
        lines += ["", *sizes.as_lines()]
    answer.give(document, text="\n".join(lines))
    if not is_healthy:
        raise typer.Exit(ExitCode.FAILED)


def _findings(*, port: int) -> Iterator[Finding]:
    try:
        settings = load_settings()
    except InvalidSetting as error:
        for name, check in _PARTS.items():
            yield _run(name, check)
        yield Finding("settings", State.PROBLEM, told(error.message))
        return
    for name, check in _PARTS.items():
        yield _weighed(_run(name, check), settings)
    yield Finding("settings", State.OK, f"the home folder is {settings.home}")
    for name, check in _checks_of_state(settings, port=port).items():
        yield _weighed(_run(name, check), settings)


def _sizes() -> Sizes | None:
    """None where settings or device cannot be: a check has told why."""
    try:
        return published_sizes(load_settings())
    except (InvalidSetting, ModelUnsupported, ImportError):
        return None


def _weighed(finding: Finding, settings: Settings) -> Finding:
    """What only workers need is no problem on a machine that may be there for the API alone."""
    is_for_workers = finding.state is State.PROBLEM and finding.name in _OF_WORKERS
    if not is_for_workers or settings.queue_url == THREAD_URL:
        return finding
    found = f"{finding.found} The API works without it; a worker on this machine does not."
    return replace(finding, state=State.NOTE, found=found)


def _checks_of_state(settings: Settings, *, port: int) -> dict[str, Check]:
    return {
        "home": partial(check_home, settings),
        "database": partial(check_database, settings),
        "blobs": partial(check_blobs, settings),
        "queue": partial(check_queue, settings),
        "model": partial(check_model, settings),
        "memory": partial(check_memory, settings),
        "port": partial(check_port, port),
    }


def _run(name: str, check: Check) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  # a check that breaks is a check that fails; the others go on
        known = explained(error)
        message = known.message if known else f"the check itself broke: {type(error).__name__}: {error}"
        return Finding(name, State.PROBLEM, told(message))


def _line(finding: Finding) -> str:
    return f"{finding.state:<8} {finding.name:<13} {finding.found}"
