"""The socket that `serve` listens on: this machine's own addresses, and nobody else's port.

An address that other machines reach is taken too; whether it may be served is for those to say who
know the studio's users. The port is taken before anything else is done, so that a second `make studio`
says so at once instead of after loading a model.
"""

import errno
import ipaddress
import socket
from typing import Final

from text2song.errors import InvalidInput, PortInUse, StorageFailed

BACKLOG: Final = 2048
"""Connections that wait while the server is still starting."""
LAST_PORT: Final = 65535


def open_listener(host: str, *, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises:
        InvalidInput: `host` has no address, is not on this machine, or the port needs more rights.
        PortInUse: another program has the port.
    """
    family, address = _address(host, port=port)
    # The protocol is named because asyncio sends small answers at once (TCP_NODELAY) only where it is:
    # without it, each answer on a kept connection waited 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(error, host=host, port=port) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """What a browser on this machine opens."""
    address = _bound(listener)
    port = listener.getsockname()[1]
    if address.is_unspecified:  # every address of this machine, so also this one
        return f"http://127.0.0.1:{port}/"
    return f"http://[{address}]:{port}/" if address.version == 6 else f"http://{address}:{port}/"


def is_public(listener: socket.socket) -> bool:
    """Whether other machines reach it."""
    return not _bound(listener).is_loopback


def _bound(listener: socket.socket) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])


def _address(host: str, *, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not host.strip():  # to the system this means every address of the machine
        raise InvalidInput("--host is empty: leave it out to serve on 127.0.0.1.", field="host")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InvalidInput(
            f"--host {host!r} has no address: leave it out to serve on 127.0.0.1.", field="host"
        ) from error
    return found[0][0], (str(found[0][4][0]), port)


def _refusal(error: OSError, *, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < LAST_PORT else port - 1
        return PortInUse(
            f"port {port} on {host} is taken, perhaps by a studio that is running already. Choose another: "
            f"`PORT={other} make studio`, or `text2song serve --port {other}`.",
            field="port",
        )
    if error.errno == errno.EACCES:
        return InvalidInput(
            f"port {port} needs an administrator's rights: take one above 1023.", field="port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidInput(
            f"this machine has no address {host}: leave out --host to serve on 127.0.0.1.", field="host"
        )
    return StorageFailed(f"cannot listen on {host} port {port} ({error.strerror}): try another port.")
