import time

import pytest

from text2song.errors import ClaimLost, DatabaseBusy, StorageFailed, StorageFull, StudioError
from text2song.jobs import patience
from text2song.jobs.patience import patiently


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.01)


class Faltering:
    """Raises these errors in turn, and then answers how often it was called."""

    def __init__(self, *errors: StudioError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def test_what_is_out_of_reach_for_a_while_is_tried_until_it_works() -> None:
    act = Faltering(StorageFailed("gone"), DatabaseBusy("starting"), StorageFailed("gone"))
    assert patiently(act, is_over=lambda: False) == 4


@pytest.mark.parametrize("error", [StorageFull("full"), ClaimLost("another's")])
def test_what_waiting_does_not_mend_is_told_at_once(error: StudioError) -> None:
    act = Faltering(error)
    with pytest.raises(type(error)):
        patiently(act, is_over=lambda: False)
    assert act.calls == 1


def test_nobody_waits_for_a_job_that_is_lost() -> None:
    act = Faltering(*[StorageFailed("gone")] * 5)
    with pytest.raises(StorageFailed):
        patiently(act, is_over=lambda: act.calls == 3)
    assert act.calls == 3


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(StorageFailed):
        patiently(Faltering(*[StorageFailed("gone")] * 1000), is_over=lambda: False)
    assert 0.2 <= time.monotonic() - began < 10
