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


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--device", "cuda:4096"), "model_unsupported", "use cpu"),
        (("--device", "gpu"), "invalid_setting", "TEXT2SONG_DEVICE"),
        (("--model", "somebody/something"), "model_missing", "text2song model add somebody/something"),
        (("--queues", "generation,gardening"), "invalid_setting", "names 'gardening'"),
        (("--drain-seconds", "soon"), "invalid_setting", "TEXT2SONG_DRAIN_SECONDS"),
        (("--health-file", "/dev/null/well"), "storage_failed", "/dev/null cannot be used"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_the_reason(
    furnished: Console, options: tuple[str, ...], code: str, words: str
) -> None:
    said = furnished.run("worker", "--json", *options)
    assert said.code in {3, 5}
    assert said.error()["code"] == code
    assert words in said.error()["message"]


def test_a_command_that_works_by_itself_needs_no_redis(furnished: Console) -> None:
    said = furnished.run("generate", "hello", "--duration", "1", "--json", QUEUE_URL="redis://127.0.0.1:1/0")
    assert said.code == 0, said.err
    said = furnished.run("generate", "hello", "--json", QUEUE_URL="redis://:sesame@127.0.0.1:one/0")
    assert (said.code, said.error()["code"]) == (3, "invalid_setting")
    assert "sesame" not in said.out + said.err
