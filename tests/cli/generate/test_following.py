import time
import uuid
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from tests.studios import Desk
from text2song.audio.schemas import AudioSampleOut
from text2song.cli.generate import following
from text2song.cli.generate.following import ProgressView, describe, follow
from text2song.errors import Unavailable
from text2song.generation.schemas import GenerateIn, JobOut
from text2song.sound.files import AudioFormat


@dataclass
class Scripted:
    """A studio that answers as it is told to: outages and late answers cannot be had otherwise."""

    answers: list[JobOut | Unavailable]
    asked_since: list[int] = field(default_factory=list)

    def read(self, job_id: uuid.UUID, *, since: int, wait_seconds: float) -> JobOut:
        assert (job_id.version, wait_seconds) == (7, following.WAIT_SECONDS)
        self.asked_since.append(since)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    def submit(self, body: GenerateIn) -> JobOut:
        raise NotImplementedError

    def cancel(self, job_id: uuid.UUID) -> JobOut:
        raise NotImplementedError

    def sample(self, audio_id: uuid.UUID) -> AudioSampleOut:
        raise NotImplementedError

    def sound(self, audio_id: uuid.UUID, *, into: AudioFormat) -> bytes:
        raise NotImplementedError

    def place(self, audio_id: uuid.UUID) -> str:
        raise NotImplementedError


@pytest.fixture(scope="module")
def queued(shared_desk: Desk) -> JobOut:
    return JobOut.model_validate(shared_desk.submit())


@pytest.fixture
def view() -> ProgressView:
    return ProgressView(Console(stderr=True, markup=False, highlight=False))


def at(job: JobOut, *, sequence: int, stage: str, status: str = "running") -> JobOut:
    changes = {"sequence": sequence, "stage": stage, "status": status, "position": None}
    return job.model_copy(update=changes)


def test_each_change_is_a_line_and_each_read_asks_for_what_is_newer(
    queued: JobOut, view: ProgressView, capsys: pytest.CaptureFixture[str]
) -> None:
    news = [
        at(queued, sequence=4, stage="composing"),
        at(queued, sequence=5, stage="composing"),
        at(queued, sequence=6, stage="done", status="succeeded"),
    ]
    access = Scripted([*news])
    assert follow(access, queued, view=view) == news[-1]
    assert access.asked_since == [queued.sequence, 4, 5]
    assert capsys.readouterr().err == "waiting, position 1\ncomposing\ndone\n"


def test_an_older_answer_never_turns_things_back(
    queued: JobOut, view: ProgressView, capsys: pytest.CaptureFixture[str]
) -> None:
    running = at(queued, sequence=8, stage="rendering")
    late = at(queued, sequence=7, stage="composing")
    done = at(queued, sequence=9, stage="done", status="succeeded")
    assert follow(Scripted([running, late, done]), queued, view=view) == done
    assert "composing" not in capsys.readouterr().err


def test_a_studio_that_comes_back_is_waited_for(
    queued: JobOut, view: ProgressView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    done = at(queued, sequence=9, stage="done", status="succeeded")
    assert follow(Scripted([Unavailable("away."), Unavailable("away."), done]), queued, view=view) == done


def test_a_studio_that_stays_away_is_given_up_and_the_job_named(
    queued: JobOut, view: ProgressView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(Unavailable, match=f"away. The job {queued.id} lives on"):
        follow(Scripted([Unavailable("away.")]), queued, view=view)


def test_the_place_in_the_queue_and_the_time_left_are_said(queued: JobOut) -> None:
    waiting = queued.model_copy(update={"position": 3, "eta_seconds": 12.4})
    assert describe(waiting, has_eta=True) == "waiting, position 3, about 12 s left"
    assert describe(waiting, has_eta=False) == "waiting, position 3"
    assert describe(waiting.model_copy(update={"position": None}), has_eta=False) == "waiting"


def test_on_a_terminal_there_is_a_bar(queued: JobOut, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Console(stderr=True, force_terminal=True, width=100)
    half = at(queued, sequence=4, stage="composing").model_copy(update={"progress": 0.5, "eta_seconds": 9.0})
    with ProgressView(terminal) as view:
        view.show(half)
    drawn = capsys.readouterr().err
    assert "composing, about 9 s left" in drawn
    assert "50%" in drawn
