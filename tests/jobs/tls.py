"""A door with TLS before a server that speaks none, with a certificate that no authority signed."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PAIR = """
-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA50ZXh0MnNv
bmcgdGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOdGV4dDJzb25nIHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT9
hhotJSPBQONQbzRrO2esmjBtNbA4dJ4Gt5uiNzIO+56Kj29sDWnCFUIXG7keQxbC
s8wmXF7qnYJT5FcVCs7eo1YwVDAPBgNVHREECDAGhwR/AAABMBIGA1UdEwEB/wQI
MAYBAf8CAQAwDgYDVR0PAQH/BAQDAgGGMB0GA1UdDgQWBBRd+ldXXDImDmKr1nuw
9hnEYuePgTAKBggqhkjOPQQDAgNJADBGAiEAkehOKgK/r5ptIyTp1v66vvtrLVx0
pv6EpIjNYetgTJACIQC4K6Ts0SPDxzMxDpfJ/P/5eR80Uwr9a1r6c9A6GzKhOg==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5hdGW7DVHm9I5jHk
8MECKvLWGmcrAhG/oQF1Mw5TllmhRANCAAT9hhotJSPBQONQbzRrO2esmjBtNbA4
dJ4Gt5uiNzIO+56Kj29sDWnCFUIXG7keQxbCs8wmXF7qnYJT5FcVCs7e
-----END PRIVATE KEY-----
"""
"""Certificate and key for 127.0.0.1, made for these tests alone; good until 2120."""


@contextmanager
def opened_door(folder: Path, *, port: int) -> Iterator[tuple[int, Path]]:
    """The door's port, and the file with the certificate that a client must trust."""
    pair = folder / "pair.pem"
    pair.write_text(PAIR.lstrip())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context, port), daemon=True).start()
        yield listener.getsockname()[1], pair
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # `close` alone would not wake who accepts


def _serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_guide, args=(raw, context, port), daemon=True).start()


def _guide(raw: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        raw,
        suppress(OSError),  # a client that does not trust the certificate leaves
        context.wrap_socket(raw, server_side=True) as client,
        socket.create_connection(("127.0.0.1", port)) as server,
    ):
        back = threading.Thread(target=_carry, args=(server, client), daemon=True)
        back.start()
        _carry(client, server)
        back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
