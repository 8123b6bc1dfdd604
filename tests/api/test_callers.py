"""Addresses, as servers and proxies write them; `test_login.py` has them in use."""

import pytest

from text2song.api.callers import parse_address, without_port
from text2song.api.limits import site_of


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("testclient", "None"),
        ("", "None"),
    ],
)
def test_an_address_is_read_however_it_is_written(written: str, meant: str) -> None:
    assert str(parse_address(written)) == meant


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:55123", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:55123", "2001:db8::1"),
    ],
)
def test_a_client_is_the_same_with_each_of_its_ports(told: str, address: str) -> None:
    assert without_port(told) == address
    assert site_of(without_port(told)) == site_of(address) != "elsewhere"
