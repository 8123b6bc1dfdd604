"""Signals at awkward moments, in processes of their own."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
import soundfile

from tests.cli.console import Console, ended, read_until
from tests.servers import free_port

PATIENCE_SECONDS = 90.0


def takes_made(console: Console) -> int:
    with closing(sqlite3.connect(console.home / "studio.db")) as database:
        [(count,)] = database.execute("SELECT count(*) FROM generation_takes WHERE status = 'succeeded'")
    return int(count)


def statuses(console: Console) -> list[str]:
    with closing(sqlite3.connect(console.home / "studio.db")) as database:
        return [status for (status,) in database.execute("SELECT status FROM generation_jobs ORDER BY id")]


def test_ctrl_c_cancels_the_job_and_keeps_the_takes_that_are_finished(
    furnished: Console, tmp_path: Path
) -> None:
    # One at a time, so that one take is finished long before the last.
    process = furnished.start(
        *(
            "generate",
            "hello",
            "--duration",
            "3",
            "--takes",
            "16",
            "--out",
            f"{tmp_path}/take.flac",
            "--json",
        ),
        CAPACITY="1",
    )
    wait_until(lambda: takes_made(furnished) > 0, process=process)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert said.code == 130, said.err
    document = said.document()
    assert document["error"]["code"] == "interrupted"
    assert document["job"]["status"] == "cancelled"
    kept = [Path(file["path"]) for file in document["files"]]
    assert 1 <= len(kept) < 16
    assert f"{len(kept)} of 16 takes were finished and are kept" in said.err
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert all(soundfile.info(path).duration == 3.0 for path in kept)
    assert statuses(furnished)[-1] == "cancelled"


def test_a_server_that_is_stopped_while_its_model_loads_ends_well(furnished: Console) -> None:
    port = free_port()
    process = furnished.start("serve", "--port", str(port))
    wait_until(lambda: is_alive(port), process=process)
    asked = httpx2.post(f"http://127.0.0.1:{port}/generate", json={"prompt": {"text": "early"}})
    assert asked.status_code in {202, 503}  # the model is known from before, or from now on
    process.send_signal(signal.SIGTERM)
    said = ended(process)
    assert said.code == 0, said.err
    assert "Traceback" not in said.err


SLOW_TO_LOAD = """
import atexit, sys, time, types
from text2song.cli.__main__ import main

def load(studio):
    print('{"event": "it loads"}', file=sys.stderr, flush=True)
    time.sleep(600)

atexit.register(lambda: print("the interpreter was taken apart", file=sys.stderr))
handlers = types.ModuleType("text2song.worker.handlers")
handlers.generation_handler, handlers.GenerationHandler = load, object
sys.modules[handlers.__name__] = handlers  # the model takes for ever, so torch need not come first
main()
"""


def slow_to_load(console: Console, *command: str, log_json: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_LOAD, *command],
        env=console.environment | {"TEXT2SONG_LOG_JSON": log_json},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",)])
def test_a_service_says_that_it_loads_and_that_it_stops(furnished: Console, command: tuple[str, ...]) -> None:
    process = slow_to_load(furnished, *command, log_json="false")
    lines = read_until(process, "it loads")
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert (said.code, lines[0]) == (0, "Loading the model text2song/untrained-noise.\n")
    assert said.err.startswith("Stopping. What ")
    assert " goes back to the queue" in said.err


@pytest.mark.parametrize("command", [("serve", "--port", "0", "--json"), ("worker", "--json")])
def test_where_logs_are_json_a_service_says_nothing_else(
    furnished: Console, command: tuple[str, ...]
) -> None:
    process = slow_to_load(furnished, *command)
    lines = read_until(process, "it loads")
    process.send_signal(signal.SIGTERM)
    said = ended(process)
    events = [json.loads(line)["event"] for line in [*lines, *said.err.splitlines()]]
    assert events[0] == "Loading the model text2song/untrained-noise."
    assert [event for event in events if event.startswith("Stopping.")] == events[-1:]


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",)])
def test_a_service_that_is_stopped_while_its_model_loads_takes_nothing_apart_under_it(
    furnished: Console, command: tuple[str, ...]
) -> None:
    process = slow_to_load(furnished, *command)
    read_until(process, "it loads")
    process.send_signal(signal.SIGTERM)
    said = ended(process)
    assert (said.code, said.out) == (0, ""), said.err
    assert "Traceback" not in said.err
    assert "taken apart" not in said.err


def wait_until(is_true: Callable[[], bool], *, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        if time.monotonic() > until or process.poll() is not None:
            process.kill()
            raise AssertionError(ended(process))
        time.sleep(0.05)


def is_alive(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/healthz").is_success
    except httpx2.TransportError:
        return False
