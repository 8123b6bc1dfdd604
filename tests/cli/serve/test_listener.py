import socket

import pytest

from text2song.cli.serve.listener import is_public, open_listener, url_of
from text2song.errors import InvalidInput, PortInUse


def test_a_free_port_is_taken_at_once_and_named() -> None:
    with open_listener("127.0.0.1", port=0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}/"
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_a_port_in_use_is_named_with_how_to_choose_another() -> None:
    with open_listener("127.0.0.1", port=0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUse) as refused:
            open_listener("127.0.0.1", port=port)
    other = port + 1 if port < 65535 else port - 1
    assert f"port {port} on 127.0.0.1" in refused.value.message
    assert f"PORT={other} make studio" in refused.value.message
    assert f"--port {other}" in refused.value.message


def test_a_port_can_be_taken_again_after_a_stop() -> None:
    with open_listener("127.0.0.1", port=0) as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            accepted, _ = first.accept()
            accepted.close()  # leaves the port in TIME_WAIT on our side
    open_listener("127.0.0.1", port=port).close()


@pytest.mark.parametrize("host", ["", " ", "192.0.2.1"])
def test_an_address_that_is_none_or_another_machine_s_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_listener(host, port=0)
    assert refused.value.field in {"host", None}
    assert "127.0.0.1" in refused.value.message


def test_it_is_known_whether_other_machines_reach_it() -> None:
    for host, reached in (("127.0.0.1", False), ("127.0.0.9", False), ("0.0.0.0", True)):  # noqa: S104  # for a moment
        with open_listener(host, port=0) as listener:
            assert is_public(listener) is reached


def test_every_address_is_shown_as_the_one_that_a_browser_here_opens() -> None:
    with open_listener("0.0.0.0", port=0) as listener:  # noqa: S104  # for a moment
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"has no address"):
        open_listener("no-such-name.invalid", port=8000)


def test_every_name_of_this_machine_is_served() -> None:
    with open_listener("127.0.0.2", port=0) as listener:
        assert url_of(listener).startswith("http://127.0.0.2:")
    with open_listener("localhost", port=0) as listener:
        assert listener.getsockname()[0] in {"127.0.0.1", "::1"}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_an_address_of_ipv6_stands_in_brackets_or_its_absence_is_said() -> None:
    if has_ipv6():
        with open_listener("::1", port=0) as listener:
            assert url_of(listener).startswith("http://[::1]:")
    else:
        with pytest.raises(InvalidInput, match="has no address"):
            open_listener("::1", port=0)


def test_small_answers_are_sent_at_once() -> None:
    with open_listener("127.0.0.1", port=0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio asks before it sets TCP_NODELAY
