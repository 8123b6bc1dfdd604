"""Figures that tests measure: printed at the end of every run, and kept in a dated file by `make proof`.

A test asks for the fixture `record_figure` and calls `record_figure("resumed_jobs", 20, "jobs")`. The
figures travel with the test's report, so that they also arrive from pytest-xdist's processes.
"""

import datetime as dt
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

KEY: Final = "figure"
ROOT: Final = Path(__file__).resolve().parent.parent
RecordFigure = Callable[[str, float, str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a test measured, with its unit."""

    test: str
    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        """`name = value unit`, with four significant digits for fractions."""
        value = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:,.4g}"
        return f"{self.name} = {value} {self.unit}".rstrip()


@pytest.fixture
def record_figure(request: pytest.FixtureRequest) -> RecordFigure:
    """Record a figure under a name, with its unit."""

    def record(name: str, value: float, unit: str) -> None:
        request.node.user_properties.append((KEY, (name, value, unit)))

    return record


def figures_of(reports: Sequence[pytest.TestReport]) -> Iterator[Figure]:
    """The figures that came with these reports."""
    for report in reports:
        for key, value in report.user_properties:
            if key == KEY and isinstance(value, list | tuple):  # a list once it crossed a process
                yield Figure(report.nodeid, *value)


def machine() -> dict[str, str]:
    """What a figure depends on: the hardware, the system and the commit."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": f"{next(names, platform.processor() or platform.machine())}, {_cores()} cores usable",
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "graphics": _first_line("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "none",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "commit": _first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty") or "not known",
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _first_line(*command: str) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter(answer.stdout.splitlines()), "")


def results_page(reports: Sequence[pytest.TestReport], *, today: dt.date, facts: Mapping[str, str]) -> str:
    """The dated page: where it ran, how each proof ended, and what it measured."""
    lines = [f"# Proofs of {today.isoformat()}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "| proof | outcome | seconds | figures |", "|---|---|---|---|"]
    for report in sorted(reports, key=lambda r: r.nodeid):
        figures = "; ".join(str(figure) for figure in figures_of([report]))
        lines.append(f"| `{report.nodeid}` | {report.outcome} | {report.duration:.1f} | {figures} |")
    return "\n".join(lines) + "\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--results FOLDER` keeps a page of this run."""
    parser.addoption("--results", type=Path, help="write a dated page of outcomes and figures to this folder")


def ended(reports: Mapping[str, Sequence[object]]) -> list[pytest.TestReport]:
    """The report that tells how each test ended: its call, or the set-up that failed or skipped it."""
    wanted = (
        r for outcome in ("passed", "failed", "error", "skipped", "xfailed") for r in reports.get(outcome, ())
    )
    return [r for r in wanted if isinstance(r, pytest.TestReport)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures above pytest's closing line, and write the page that was asked for."""
    reports = ended(terminalreporter.stats)
    figures = sorted(figures_of(reports), key=lambda f: (f.test, f.name))
    if figures:
        terminalreporter.section("figures")
    for figure in figures:
        terminalreporter.line(f"{figure.test}: {figure}")
    folder = config.getoption("results")
    if folder is None or not reports:
        return
    today = dt.datetime.now(tz=dt.UTC).date()
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{today.isoformat()}.md"
    page.write_text(results_page(reports, today=today, facts=machine()))
    terminalreporter.line(f"results: {page}")
