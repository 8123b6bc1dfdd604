"""Names of models, adapters and samples are looked up among rows: no request has the server fetch a thing."""

import socket
from collections.abc import Iterator

import pytest

from tests.studios import Desk


@pytest.fixture(name="listener")
def listen() -> Iterator[socket.socket]:
    """Somebody on this machine whom only the server can reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        yield listener


def addresses(port: int) -> list[str]:
    return [
        f"http://127.0.0.1:{port}/latest/meta-data",
        f"http://localhost:{port}/a@1.0.0",
        f"//127.0.0.1:{port}/a",
        f"s3://songs/a?endpoint=http://127.0.0.1:{port}",
        f"redis://127.0.0.1:{port}/0",
        f"file://127.0.0.1:{port}/etc/passwd",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "untrained-noise/../../../etc/passwd",
        f"gopher://127.0.0.1:{port}/_a@1.0.0",
        "a\r\nX-Evil: 1",
        "a\r\n\r\n<script>",
    ]


def test_an_address_in_the_place_of_a_name_is_a_name_that_nobody_has(
    desk: Desk, listener: socket.socket
) -> None:
    for address in addresses(listener.getsockname()[1]):
        for asked in (
            {"model": address},
            {"adapter_id": address},
            {"sides": [[{"adapter": address}]]},
            {"from_sample": address, "prompt": None},
            {"prompt_id": address, "prompt": None},
        ):
            body = {"prompt": {"text": "a"}, **asked}
            answer = desk.client.post(
                "/generate", json={name: value for name, value in body.items() if value is not None}
            )
            assert answer.status_code == 422, (asked, answer.text)
            assert "root:" not in answer.text
            assert "x-evil" not in answer.headers
    with pytest.raises(TimeoutError):
        listener.accept()
    assert desk.client.get("/generate").json()["items"] == []


@pytest.mark.parametrize(
    ("header", "status"), [("Idempotency-Key", 202), ("X-Request-ID", 202), ("Range", 202), ("Origin", 403)]
)
def test_what_is_sent_in_a_header_ends_no_line_of_the_answer(desk: Desk, header: str, status: int) -> None:
    hostile = "a%0d%0aX-Evil: 1\x85X-Evil: 1\u2028X-Evil: 1".encode()
    headers = [(header.encode(), hostile)]
    answer = desk.client.post("/generate", json={"prompt": {"text": "a"}}, headers=headers)
    assert answer.status_code in {status, 400, 422}, answer.text
    assert "x-evil" not in answer.headers
    assert not any("evil" in value.lower() for value in answer.headers.values())
