"""`text2song serve` in a process of its own, and the commands that talk to it."""

import http.client
import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import soundfile

from tests.cli.console import COMMAND, Console, ended, read_until
from text2song.cli.serve.listener import open_listener


@dataclass(frozen=True)
class Running:
    """A server, and the commands over its home folder."""

    console: Console
    process: "subprocess.Popen[str]"
    url: str
    log: Path

    def jobs(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = httpx2.get(f"{self.url}/generate").json()["items"]
        return items


@pytest.fixture(scope="module")
def running(furnished: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("log") / "serve.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0"],
            env=furnished.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    with process:
        line = process.stdout.readline()
        match = re.fullmatch(r"Text2Song Studio is ready: (http://127\.0\.0\.1:\d+)/\n", line)
        assert match, f"{line!r}\n{log.read_text()}"
        yield Running(furnished, process, match[1], log)
        process.kill()


def test_when_it_is_ready_it_works_and_has_said_that_it_is_noise(running: Running) -> None:
    assert httpx2.get(f"{running.url}/readyz").json()["checks"] == ["database", "blobs", "worker"]
    assert "This model is untrained" in running.log.read_text()
    assert "Uvicorn" not in running.log.read_text()


def test_a_second_one_says_that_the_port_is_taken(running: Running) -> None:
    port = running.url.rpartition(":")[2]
    said = running.console.run("serve", "--port", port, "--json")
    assert said.code == 3
    assert said.error()["code"] == "port_in_use"
    assert f"text2song serve --port {int(port) + 1}" in said.error()["message"]


def test_the_doctor_finds_it(running: Running) -> None:
    said = running.console.run("doctor", "--json", "--port", running.url.rpartition(":")[2])
    [port] = [check for check in said.document()["checks"] if check["name"] == "port"]
    assert (port["state"], port["found"]) == ("ok", f"a studio answers at {running.url}/")


def test_it_makes_takes_for_other_commands_and_makes_them_again(running: Running, tmp_path: Path) -> None:
    asked = ("generate", "hello", "--duration", "1", "--takes", "2", "--server", running.url, "--json")
    made = running.console.run(*asked, "--out", f"{tmp_path}/take.ogg")
    assert made.code == 0, made.err
    assert {soundfile.info(f["path"]).format for f in made.document()["files"]} == {"OGG"}
    audio_id = made.document()["files"][1]["audio_id"]
    again = running.console.run("generate", "--from-sample", audio_id, "--server", running.url, "--json")
    assert (again.code, again.document()["from_sample"]["identical"]) == (0, True)
    [place] = again.document()["files"]
    assert httpx2.get(place["path"]).headers["content-type"] == "audio/flac"
    refused = running.console.run("generate", "x", "--duration", "301", "--server", running.url)
    assert refused.code == 2


def test_ctrl_c_cancels_what_it_works_on_for_another_command(running: Running) -> None:
    process = running.console.start("generate", "x", "--duration", "30", "--server", running.url, "--json")
    read_until(process, "composing")
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert said.code == 130
    document = said.document()
    assert document["error"]["code"] == "interrupted"
    assert "the job was cancelled; 0 of 1 takes were finished" in document["error"]["message"]
    assert document["job"]["status"] == "cancelled"
    assert [job["status"] for job in running.jobs() if job["id"] == document["job"]["id"]] == ["cancelled"]


def test_a_stop_hands_work_back_though_somebody_waits_for_it(running: Running) -> None:
    asked = {"prompt": {"text": "x"}, "generation_params": {"duration": 30}}
    job = httpx2.post(f"{running.url}/generate", json=asked).json()

    poll = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=120)
    poll.request("GET", f"/generate/{job['id']}?wait=60&since={10**9}")
    # what is asked after the poll is answered after the server has read the poll
    while httpx2.get(f"{running.url}/generate/{job['id']}").json()["status"] == "queued":
        pass
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=40) == 0
    answer = poll.getresponse()
    assert (answer.status, json.load(answer)["code"]) == (503, "unavailable")  # answered, not cut off
    poll.close()
    with closing(sqlite3.connect(running.console.home / "studio.db")) as database:
        [(status,)] = database.execute("SELECT status FROM generation_jobs ORDER BY id DESC LIMIT 1")
    assert status == "queued"
    assert [
        line for line in running.log.read_text().splitlines() if "Traceback" in line or "Cancel" in line
    ] == []


def test_other_machines_are_refused_while_nobody_could_log_in(furnished: Console) -> None:
    said = furnished.run("serve", "--host", "0.0.0.0", "--port", "0", "--json")  # noqa: S104  # it is refused
    assert said.code == 3
    assert said.error()["code"] == "login_not_set_up"
    assert "text2song user add NAME --admin" in said.error()["message"]
    assert "ssh -L" in said.error()["message"]


def test_a_port_and_a_setting_that_cannot_be_are_said_at_once(console: Console) -> None:
    with open_listener("127.0.0.1", port=0) as listener:
        port = listener.getsockname()[1]
        said = console.run("serve", "--port", str(port), "--json", QUEUE_URL="carrier-pigeon://")
    assert said.code == 3  # the port comes first: another studio is the likelier reason
    assert said.error()["code"] == "port_in_use"
    said = console.run("serve", "--port", "0", "--json", QUEUE_URL="carrier-pigeon://")
    assert (said.code, said.error()["code"]) == (3, "invalid_setting")
    said = console.run("serve", "--port", "0", "--json", LOG_LEVEL="LOUD")
    assert (said.code, said.error()["code"]) == (3, "invalid_setting")


def test_a_model_that_cannot_be_loaded_ends_it_with_the_reason(furnished: Console) -> None:
    said = furnished.run("serve", "--port", "0", "--json", MODEL="somebody/something")
    assert said.code == 3
    assert json.loads(said.out)["error"]["code"] == "model_missing"
    assert "text2song model add somebody/something" in said.err
    assert "Stopping." not in said.err


def test_help_promises_no_page_before_there_is_one(console: Console) -> None:
    assert " page" not in console.run("serve", "--help").out + console.run("--help").out
