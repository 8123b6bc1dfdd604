"""Against the real API in this process; what only a broken network does, against sockets that do it."""

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.studios import Desk
from text2song.cli.generate.remote import ERRORS, RemoteStudio, remote_studio
from text2song.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    StudioError,
    TakesFailed,
    Unavailable,
    UnexpectedFailure,
)
from text2song.generation.schemas import GenerateIn
from text2song.sound.files import FLAC

ASKED = {"prompt": {"text": "a slow walk home"}, "generation_params": {"duration": 1, "seed": 7}}


@pytest.fixture
def access(shared_desk: Desk) -> RemoteStudio:
    return RemoteStudio(shared_desk.client)


@contextmanager
def answering(content: bytes) -> Iterator[str]:
    """A server that says this to whoever comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(content)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_a_job_is_submitted_read_and_cancelled(access: RemoteStudio) -> None:
    job = access.submit(GenerateIn.model_validate(ASKED))
    assert (job.status, job.generation_params.seed) == ("queued", 7)
    assert access.read(job.id, since=0, wait_seconds=5) == job
    assert access.cancel(job.id).status == "cancelled"
    assert access.read(job.id, since=job.sequence, wait_seconds=5).status == "cancelled"


def test_only_what_was_typed_is_sent(access: RemoteStudio) -> None:
    job = access.submit(GenerateIn.model_validate(ASKED))
    assert job.priority == 0
    access.cancel(job.id)


def test_an_error_over_http_is_the_error_that_it_would_be_here(access: RemoteStudio) -> None:
    nobody = uuid.UUID("0198c0de-0000-7000-8000-000000000000")
    with pytest.raises(NotFound, match="no generation job"):
        access.read(nobody, since=0, wait_seconds=0)
    with pytest.raises(NotFound, match="no audio sample"):
        access.sound(nobody, into=FLAC)
    with pytest.raises(InvalidInput, match="at most 30 seconds") as refused:
        access.submit(
            GenerateIn.model_validate({"prompt": {"text": "x"}, "generation_params": {"duration": 60}})
        )
    assert refused.value.field == "generation_params.duration"


def test_every_code_has_its_class() -> None:
    assert ERRORS["takes_failed"] is TakesFailed
    assert ERRORS["conflict"] is Conflict
    assert ERRORS["studio_error"] is StudioError


def test_a_take_is_named_by_the_url_that_streams_it() -> None:
    audio_id = uuid.uuid4()
    with remote_studio("http://127.0.0.1:8000") as access:
        assert access.place(audio_id) == f"http://127.0.0.1:8000/audio/{audio_id}/stream"
    with remote_studio("http://127.0.0.1:8000/") as access:
        assert access.place(audio_id) == f"http://127.0.0.1:8000/audio/{audio_id}/stream"


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "http://", "ftp://x", "http://x:port"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="is not a URL"), remote_studio(url):
        raise AssertionError


def test_where_nobody_answers_the_way_to_start_a_studio_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (
        remote_studio(f"http://127.0.0.1:{port}") as access,
        pytest.raises(Unavailable, match=r"no studio answers at .*make studio"),
    ):
        access.submit(GenerateIn.model_validate(ASKED))


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_another_program_at_that_url_is_not_mistaken_for_a_studio(content: bytes) -> None:
    with (
        answering(content) as url,
        remote_studio(url) as access,
        pytest.raises(UnexpectedFailure, match="is not a Text2Song Studio"),
    ):
        access.submit(GenerateIn.model_validate(ASKED))


def test_an_answer_that_breaks_off_is_an_outage() -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhel") as url,
        remote_studio(url) as access,
        pytest.raises(Unavailable),
    ):
        access.submit(GenerateIn.model_validate(ASKED))


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello"
    with answering(answer) as url, remote_studio(url) as access, pytest.raises(UnexpectedFailure):
        access.submit(GenerateIn.model_validate(ASKED))


def test_what_a_newer_studio_says_besides_is_passed_over(access: RemoteStudio) -> None:
    job = access.submit(GenerateIn.model_validate(ASKED))
    body = job.model_dump_json().replace("{", '{"novelty": 1,', 1).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with answering(head + body) as url, httpx2.Client(base_url=url) as client:
        assert RemoteStudio(client).read(job.id, since=0, wait_seconds=0) == job
    access.cancel(job.id)
