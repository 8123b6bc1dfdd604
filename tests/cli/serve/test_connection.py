"""Half a request on a real socket, and a whole one whose answer takes its time."""

import asyncio
from typing import Any

import pytest
import uvicorn

from text2song.cli.serve import connection
from text2song.cli.serve.connection import Connection
from text2song.cli.serve.listener import open_listener

SLOW_ANSWER_SECONDS = 1.0


async def answer_slowly(_: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI's own types
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(SLOW_ANSWER_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def told(sent: bytes) -> bytes:
    """What the server says to these bytes until it hangs up, or within five seconds."""
    with open_listener("127.0.0.1", port=0) as listener:
        options = uvicorn.Config(answer_slowly, http=Connection, log_config=None, lifespan="off")
        server = uvicorn.Server(options)
        serving = asyncio.create_task(server._serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()
            server.should_exit = True
            await serving


@pytest.mark.parametrize(
    "half", [b"", b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"]
)
def test_half_a_request_is_given_up(monkeypatch: pytest.MonkeyPatch, half: bytes) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.3)
    assert asyncio.run(told(half)) == b""


def test_a_whole_request_is_answered_however_long_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.3)
    whole = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{"
    assert asyncio.run(told(whole)).endswith(b"ok")
