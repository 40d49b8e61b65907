from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from lcageo.errors import InterruptedRunError
from lcageo.stop import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_stops_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(InterruptedRunError, match=f"second {number.name}"), StopRequest() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        os.kill(os.getpid(), number)  # at once: what runs around it passes on what it has met already
        time.sleep(0.6)
        os.kill(os.getpid(), number)
        raise AssertionError("it went on")
    assert signal.getsignal(number) is before


def test_other_threads_leave_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter() -> None:
        with StopRequest() as stop:
            seen.append((stop.asked, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_a_request_to_an_inner_run_stops_the_enclosing_one() -> None:
    with StopRequest() as around:
        with StopRequest() as inner:
            os.kill(os.getpid(), signal.SIGINT)
            assert inner.asked and not around.asked
        assert around.asked
