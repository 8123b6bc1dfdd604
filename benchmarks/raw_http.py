"""A client thin enough to time a server with: one socket, one request at a time, only lengths parsed."""

import socket
import time
from dataclasses import dataclass
from typing import Final, Self

RECEIVE_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Timing:
    """One request; both in seconds from the moment before it was sent."""

    status: int
    first_byte_seconds: float
    """When the first byte of the body was there."""
    whole_seconds: float


class Connection:
    """A kept-alive connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, path: str) -> None:
        """Ask, and do not wait for the answer."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())

    def get(self, path: str) -> Timing:
        """Ask, and read the whole answer."""
        began = time.perf_counter()
        self.send(path)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        size = _content_length(head)
        got = len(body)
        if not got:
            got += len(self._receive())
        first_byte = time.perf_counter() - began
        while got < size:
            got += len(self._receive())
        return Timing(int(head.split(b" ", 2)[1]), first_byte, time.perf_counter() - began)

    def _receive(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    raise ValueError("an answer without a length")
