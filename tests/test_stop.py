from __future__ import annotations

import os
import signal
import subprocess
import sys
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the wait is made of a lock of Linux' C library")
def test_the_second_signal_ends_a_process_whose_main_thread_is_busy() -> None:
    code = """
import ctypes
import os
from lcageo.stop import StopRequest, at_second_signal
at_second_signal(lambda: os._exit(7))
with StopRequest():
    print("ready", flush=True)
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)  # waits for ever in C, which no handler interrupts
"""
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None and run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGINT)  # at once: the same request
    time.sleep(0.8)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=20)
    assert run.returncode == 7
