"""Clean stops: Ctrl-C and SIGTERM end a run at the next point where nothing is lost; a second signal, immediately."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from lcageo.errors import InterruptedRunError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_REQUEST_S = 0.5
"""Time within which a second signal is ignored: `timeout`, for instance, forwards a signal that the run already got."""

UNWINDING_S = 1.0
"""Time that a second signal leaves to clean up, if the main thread can."""


def at_second_signal(end: Callable[[], None]) -> None:
    """From now on, `end` is called within about two seconds of a second signal, whatever this process waits for.

    Python runs handlers in the main thread, which may be waiting: for a server or a disk in a library's code, or, at
    the end, for threads that do. A thread of its own hears of signals from Python's wake-up socket.
    """
    heard, rung = socket.socketpair()
    rung.setblocking(False)
    signal.set_wakeup_fd(rung.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_await_second, args=(heard, end), name="lcageo-signals", daemon=True).start()


def _await_second(heard: socket.socket, end: Callable[[], None]) -> None:
    first_at: float | None = None
    while number := heard.recv(1):
        if number[0] not in _SIGNALS:
            continue
        if first_at is None:
            first_at = time.monotonic()
        elif time.monotonic() - first_at > _SAME_REQUEST_S:
            time.sleep(UNWINDING_S)
            end()


class StopRequest:
    """Context in which the first signal only sets `asked`; the run checks it where it can stop cleanly."""

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers only there
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned
        enclosing = getattr(self._before.get(signal.SIGINT), "__self__", None)
        if self.asked and isinstance(enclosing, StopRequest):
            enclosing.asked = True  # the request was meant for the whole program

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and time.monotonic() - self._asked_at > _SAME_REQUEST_S:
            raise InterruptedRunError(f"stopped immediately by a second {signal.Signals(number).name}")
        if not self.asked:
            self.asked, self._asked_at = True, time.monotonic()
