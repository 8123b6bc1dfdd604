import threading
from dataclasses import replace

import pytest

from text2song.cli.worker import background
from text2song.cli.worker.background import BackgroundWorker
from text2song.errors import ModelMissing, StudioError, Unavailable, UnexpectedFailure
from text2song.jobs.threads import ThreadQueue
from text2song.studio import Studio
from text2song.worker import main as worker_main

WAIT_SECONDS = 60.0


def started(worker: BackgroundWorker) -> str:
    """Which of the two was called."""
    called: list[str] = []
    done = threading.Event()

    def hear(word: str) -> None:
        called.append(word)
        done.set()

    worker.start(when_ready=lambda: hear("ready"), when_failed=lambda: hear("failed"))
    assert done.wait(WAIT_SECONDS)
    worker.stop()
    assert len(called) == 1
    return called[0]


def with_model(studio: Studio, model: str) -> Studio:
    return replace(studio, settings=studio.settings.model_copy(update={"model": model}))


def test_a_model_that_is_missing_is_told_to_whoever_asks(studio: Studio) -> None:
    worker = BackgroundWorker(with_model(studio, "somebody/something"), ThreadQueue())
    assert started(worker) == "failed"
    assert isinstance(worker.failure, ModelMissing)
    with pytest.raises(ModelMissing):
        worker.require_ready()


def test_while_it_loads_it_is_not_ready(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()

    def load(_: Studio) -> None:
        may_go_on.wait(WAIT_SECONDS)
        raise StudioError("that was enough.")

    monkeypatch.setattr(worker_main, "generation_handler", load)
    worker = BackgroundWorker(studio, ThreadQueue())
    worker.start(when_ready=may_go_on.set, when_failed=may_go_on.set)
    with pytest.raises(Unavailable, match="still loading"):
        worker.require_ready()
    assert worker.is_loading
    may_go_on.set()
    worker.stop()
    assert not worker.is_loading


def test_a_model_that_comes_after_the_stop_is_not_served(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_come, has_left = threading.Event(), threading.Event()

    class LateWorker:
        def __init__(self, *_: object) -> None: ...

        def start(self) -> None:
            assert may_come.wait(WAIT_SECONDS)

        def stop(self, *, drain_seconds: float) -> None:
            del drain_seconds
            has_left.set()

    monkeypatch.setattr(worker_main, "Worker", LateWorker)
    monkeypatch.setattr(background, "LOADING_SECONDS", 0.0)
    called: list[str] = []
    worker = BackgroundWorker(studio, ThreadQueue())
    worker.start(when_ready=lambda: called.append("ready"), when_failed=lambda: called.append("failed"))
    worker.stop()
    may_come.set()
    assert has_left.wait(WAIT_SECONDS)
    assert called == []


def test_nobody_is_welcomed_by_a_process_that_is_asked_to_stop(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    class QuickWorker:
        def __init__(self, *_: object) -> None: ...

        def start(self) -> None: ...

        def stop(self, *, drain_seconds: float) -> None: ...

    monkeypatch.setattr(worker_main, "Worker", QuickWorker)
    for is_asked in (True, False):
        called: list[str] = []
        worker = BackgroundWorker(studio, ThreadQueue())
        worker.start(
            when_ready=lambda: called.append("ready"),  # noqa: B023  # it is called in this round
            when_failed=lambda: called.append("failed"),  # noqa: B023  # as above
            is_stopping=lambda: is_asked,  # noqa: B023  # as above
        )
        worker.stop()
        worker.end()  # returns: nothing loads any more
        assert called == ([] if is_asked else ["ready"])


def test_a_surprise_is_told_too(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Studio) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(worker_main, "generation_handler", load)
    worker = BackgroundWorker(studio, ThreadQueue())
    assert started(worker) == "failed"
    assert isinstance(worker.failure, UnexpectedFailure)
    assert "ZeroDivisionError: surprise" in worker.failure.message
