import signal

import pytest

from tests.cli.console import Console, ended, read_until


def test_a_worker_alone_makes_what_others_ask_for(furnished: Console) -> None:
    process = furnished.start("worker", "--json", LOG_JSON="true")
    read_until(process, "worker ready")
    # This process has a worker of its own: whoever is first makes the takes, and each of them once.
    said = furnished.run("generate", "hello", "--duration", "1", "--takes", "4", "--json")
    assert said.code == 0, said.err
    assert len({file["audio_id"] for file in said.document()["files"]}) == 4
    process.send_signal(signal.SIGTERM)
    worker = ended(process)
    assert worker.code == 0, worker.err
    document = worker.document()
    assert (document["model"], document["capacity"]) == ("text2song/untrained-noise", 8)
    assert "untrained" in document["notice"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"MODEL": "somebody/something"}, "model_missing"), ({"BEAT_SECONDS": "0"}, "invalid_setting")],
)
def test_a_worker_that_cannot_work_says_why(furnished: Console, settings: dict[str, str], code: str) -> None:
    said = furnished.run("worker", "--json", **settings)
    assert (said.code, said.error()["code"]) == (3, code)
