import pytest

from tests.doorbells import Broker, opened_broker
from tests.servers import free_port
from text2song.errors import Unavailable
from text2song.jobs.broker_reach import require_reachable


def test_a_server_that_answers_is_within_reach(broker: Broker) -> None:
    require_reachable(broker.url)


def test_one_that_is_not_there_is_told_with_its_address() -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=rf"redis://127.0.0.1:{port}/0 cannot be used .*See whether"):
        require_reachable(f"redis://127.0.0.1:{port}/0")


def test_a_wrong_password_is_told_and_not_repeated() -> None:
    with opened_broker(password="sesame") as guarded:
        require_reachable(guarded.url)
        with pytest.raises(Unavailable, match="cannot be used") as error:
            require_reachable(guarded.url.replace("sesame", "barley"))
    assert "barley" not in error.value.message
