import signal

import pytest

from text2song.cli.worker.signals import SIGNALS, StopSignals


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals) -> None:
    with StopSignals() as stop:
        assert not stop.asked.is_set()
        signal.raise_signal(number)
        assert stop.asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopSignals():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before
