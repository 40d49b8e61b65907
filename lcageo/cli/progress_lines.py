"""Progress as JSON objects, a line each, on standard error: what `--progress json` shows instead of bars.

Programs read these lines, so their names and meanings stay as they are; further ones may be added. examples/qgis.md
describes them.
"""

from __future__ import annotations

import time

from lcageo.cli import console

INTERVAL_S = 0.2
"""Minimum time between two lines of a phase; its first and its last state are always shown."""


class ProgressLines:
    """The progress of one phase of a command, such as `tiles` or `training`."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._first: tuple[float, float] | None = None
        self._shown_at = 0.0

    def at(self, done: float, total: float, found: int | None = None, text: str = "") -> None:
        """Shows the progress.

        Args:
            done: how much is done, of `total`.
            total: the length of the phase, which may change while it runs.
            found: number of objects found so far; None in phases that find none.
            text: what is being done, for people.
        """
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        elif now - self._shown_at < INTERVAL_S and done < total:
            return
        self._shown_at = now
        left = self._seconds_left(now, done, total)
        console.event("progress", phase=self._phase, done=done, total=total, found=found, seconds_left=left, text=text)

    def _seconds_left(self, now: float, done: float, total: float) -> float | None:
        """Time left at the mean rate since the first line; None before anything is done."""
        assert self._first is not None, "set by the first line"
        since, before = self._first
        return None if done <= before else round((now - since) / (done - before) * max(total - done, 0), 1)
