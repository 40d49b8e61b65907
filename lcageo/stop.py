"""Clean stops: Ctrl-C and SIGTERM end a run at the next point where nothing is lost; a second signal, immediately."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

from lcageo.errors import InterruptedRunError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_REQUEST_S = 0.5
"""Time within which a second signal is ignored: `timeout`, for instance, forwards a signal that the run already got."""


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
