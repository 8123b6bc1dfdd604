"""A small Hugging Face hub on this machine: the endpoints that a download needs, and their bad days."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

LARGE_BYTES = 10_000
"""Files from this size on are described by a sha256, as the hub does for its large-file store."""


@dataclass
class Mirror:
    """One model, and how the server misbehaves."""

    id: str
    files: dict[str, bytes]
    commit: str = "c0ffee" * 6 + "c0de"
    card: dict[str, Any] = field(default_factory=lambda: {"license": "cc-by-nc-4.0"})
    config: dict[str, Any] = field(default_factory=lambda: {"model_type": "musicgen"})
    cut_after_bytes: int | None = None
    """Break the connection after so many bytes of a file's answer..."""
    cuts_left: int = 0
    """...as many times as this."""
    knows_ranges: bool = True
    refusal: tuple[int, str] | None = None
    """Status and X-Error-Code of every answer."""
    file_status: int = 200
    """Status of every file's answer; only 200 brings the file."""
    lies: bool = False
    """Send other bytes than were described."""
    page: bytes | None = None
    """What every answer is instead, like a network's log-in page."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Paths and Range headers of the requests for files."""
    endpoint: str = ""

    def description(self) -> dict[str, Any]:
        """The model's entry, as `/api/models/...?blobs=true` has it."""
        siblings = []
        for name, content in self.files.items():
            sibling: dict[str, Any] = {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(
                    b"blob %d\0" % len(content) + content, usedforsecurity=False
                ).hexdigest(),
            }
            if len(content) >= LARGE_BYTES:
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        return {
            "id": self.id,
            "sha": self.commit,
            "cardData": self.card,
            "config": self.config,
            "tags": ["musicgen", "license:other"],
            "siblings": siblings,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mirror: Mirror

    def do_GET(self) -> None:
        mirror = self.mirror
        path = urlsplit(self.path).path
        if mirror.page is not None:
            self._answer(200, mirror.page)
        elif mirror.refusal is not None:
            status, code = mirror.refusal
            self._answer(status, b"{}", {"X-Error-Code": code})
        elif re.fullmatch(rf"/api/models/{mirror.id}(/revision/(main|{mirror.commit}))?", path):
            self._answer(200, json.dumps(mirror.description()).encode())
        elif path.startswith(f"/api/models/{mirror.id}/revision/"):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith("/api/models/"):
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith(f"/{mirror.id}/resolve/{mirror.commit}/"):
            self._send_file(path.rpartition("/")[2])
        else:
            self._answer(404, b"")

    def _send_file(self, name: str) -> None:
        mirror = self.mirror
        asked_range = self.headers.get("Range")
        mirror.asked.append((name, asked_range))
        if mirror.file_status != 200:
            self._answer(mirror.file_status, b"")
            return
        content = mirror.files[name]
        if mirror.lies:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = 0
        if asked_range and mirror.knows_ranges:
            start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
        self._answer(206 if start else 200, content[start:])

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in (headers or {}).items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        mirror = self.mirror
        if mirror.cuts_left and mirror.cut_after_bytes is not None and len(content) > mirror.cut_after_bytes:
            mirror.cuts_left -= 1
            self.wfile.write(content[: mirror.cut_after_bytes])
            self.close_connection = True
            return
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that http.server gives it
        """Say nothing."""


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """The mirror on a port of its own; sets its endpoint."""
    handler = type("Handler", (_Handler,), {"mirror": mirror})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        mirror.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()
