"""From where a request comes: this machine, a proxy, or somebody's own address."""

import ipaddress
from typing import Final, TypeAlias

from fastapi import Request

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_INSIDE: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)
"""Which the internet does not reach, such as a container's: RFC 1122, 1918, 3927, 4193, 4291 and 6598."""


def parse_address(text: str) -> Address | None:
    """None for what is no address. A server that listens on `::` sees IPv4 clients by mapped addresses.

    >>> parse_address("::ffff:203.0.113.7")
    IPv4Address('203.0.113.7')
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_from_here(request: Request) -> bool:
    """Whether this machine itself asks, and passes on nobody's request.

    What has no address comes from this process, or through a socket that is a file.
    """
    if getattr(request.state, "is_forwarded", True):
        return False
    peer = parse_address(request.client.host) if request.client is not None else None
    return peer is None or peer.is_loopback


def address_of(request: Request) -> str:
    """Whom to count for: behind a proxy on this machine or next to it, whoever that says it passes on.

    The last entry of the last such header, which the proxy itself has added: some add a header of their own
    behind the client's. One that adds none lets its clients write it; then a client can have another
    counted instead, and nothing else. Were the proxy itself counted, a stranger who tries ten wrong keys
    would keep everybody behind it from signing in.
    """
    peer = request.client.host if request.client is not None else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    return without_port(forwarded) if forwarded and _is_inside(peer) else peer


def without_port(address: str) -> str:
    """Some proxies tell the client's port, too.

    >>> without_port("203.0.113.7:55123"), without_port("[2001:db8::1]:55123"), without_port("2001:db8::1")
    ('203.0.113.7', '2001:db8::1', '2001:db8::1')
    """
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _is_inside(host: str) -> bool:
    address = parse_address(host)
    return address is not None and any(address in network for network in _INSIDE)
