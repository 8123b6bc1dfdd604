"""Two workers on one queue, with a model of a fixed pace: both work, and nothing is made twice."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.workers import opened_site, share
from tests.e2e.worksite import Worksite
from tests.figures import RecordFigure
from tests.postgres import INSTALL, programs

pytestmark = pytest.mark.skipif(programs() is None, reason=f"PostgreSQL is not installed: {INSTALL}")


@pytest.fixture(name="site", scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worksite]:
    with opened_site(tmp_path_factory.mktemp("sharing"), step_seconds=0.005) as site:
        yield site


@pytest.mark.slow
def test_two_workers_share_what_waits(site: Worksite) -> None:
    shared = share(site, workers=2, jobs=12)  # `share` sees that each take is there once
    assert len(shared.shares) == 2
    assert min(shared.shares) >= 3


@pytest.mark.proof  # `benchmarks/workers.py` prints more
def test_two_workers_make_almost_twice_as_much_as_one(tmp_path: Path, record_figure: RecordFigure) -> None:
    with opened_site(tmp_path) as site:
        rates = {
            workers: [share(site, workers=workers, jobs=12).takes_a_second for _ in range(3)]
            for workers in (1, 2)
        }
    ratio = statistics.median(rates[2]) / statistics.median(rates[1])
    record_figure("throughput of two workers to that of one", ratio, "times")
    assert ratio >= 1.8
