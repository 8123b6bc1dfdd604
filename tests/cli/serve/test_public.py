"""A studio that other machines reach: a real server on every address of this one, with people."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from tests.cli.console import COMMAND, Console


@dataclass(frozen=True)
class Public:
    """The server, and the key of its only user."""

    console: Console
    url: str
    key: str


@pytest.fixture(scope="module", name="public")
def serve_publicly(furnished: Console) -> Iterator[Public]:
    key = furnished.run("user", "add", "Ada", "--admin").out.strip()
    process = subprocess.Popen(
        [*COMMAND, "serve", "--host", "0.0.0.0", "--port", "0", "--json"],  # noqa: S104  # what is tried
        env=furnished.environment | {"TEXT2SONG_ALLOWED_HOSTS": "studio.lan"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        said = process.stdout.readline()
        while not said.rstrip().endswith("}"):
            said += process.stdout.readline()
        yield Public(furnished, json.loads(said)["url"].rstrip("/"), key)
        process.kill()
        assert process.stderr is not None
        assert "not encrypted" in process.stderr.read()


def test_everybody_logs_in_also_a_single_user_on_the_machine_itself(public: Public) -> None:
    # under the address that it tells, which nobody has listed among its names
    assert httpx2.get(f"{public.url}/healthz").status_code == 200
    refused = httpx2.get(f"{public.url}/prompts")
    assert (refused.status_code, refused.json()["code"]) == (401, "not_logged_in")
    headers = {"Authorization": f"Bearer {public.key}"}
    assert httpx2.get(f"{public.url}/prompts", headers=headers).status_code == 200


def test_the_command_line_logs_in_with_the_key_of_its_settings(public: Public) -> None:
    make = ("generate", "a slow walk home", "--duration", "0.5", "--server", public.url, "--json")
    refused = public.console.run(*make)
    assert (refused.code, refused.error()["code"]) == (3, "not_logged_in")
    assert "TEXT2SONG_API_KEY" in refused.error()["message"]
    done = public.console.run(*make, API_KEY=public.key)
    assert done.code == 0, done.err
    assert public.key not in done.out + done.err
    wrong = public.console.run(*make, API_KEY="t2s_wrong")
    assert (wrong.code, wrong.error()["code"]) == (3, "not_logged_in")
