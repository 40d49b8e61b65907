"""Progress on standard error, with messages between: bars on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcageo.cli import console
from lcageo.cli.console import Console, shows_json

if TYPE_CHECKING:
    from tqdm import tqdm

    from lcageo.inference.scene import Progress

LINE_EVERY_S = 60.0
"""In a log, a bar's control characters would be noise, and a line for each update too much."""


INTERVAL_S = 0.2
"""Minimum time between two lines of a phase; its first and its last state are always shown."""


class ProgressLines:
    """The progress of one phase of a command, such as `tiles` or `training`, as JSON objects, a line each.

    `--progress json` shows them instead of bars. Programs read them, so their names and meanings stay as they are;
    further ones may be added. examples/qgis.md describes them.
    """

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


class _Log:
    """Shows at most one line a minute."""

    def __init__(self, say: Console) -> None:
        self._say, self._last = say, time.monotonic()

    def at(self, line: str) -> None:
        """Shows the line, if the last one is a minute old."""
        if time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            self._say.note(line)


def _is_on_terminal() -> bool:
    return sys.stderr.isatty()


class Bar:
    """The progress of one task; a bar appears with the first update and ends with `close`."""

    def __init__(self, say: Console, title: str, unit: str) -> None:
        self._say = say
        self._title = title
        self._unit = unit
        self._log = None if _is_on_terminal() else _Log(say)
        self._bar: tqdm[Any] | None = None
        self._lines = ProgressLines(title) if shows_json() and not say.quiet else None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def at(self, done: float, total: float, text: str = "") -> None:
        """Shows the progress, and a short text; `total` may change."""
        if self._lines is not None:
            self._lines.at(done, total, text=text)
            return
        if self._log is not None:
            of = f"{done:g} %" if self._unit == "%" else f"{done:,.0f} of {total:,.0f} {self._unit}s"
            self._log.at(f"{self._title}: {of}{', ' if text else ''}{text}")
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, desc=self._title, unit=self._unit, disable=self._say.quiet, file=sys.stderr, leave=True
            )
        self._bar.total = total
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def note(self, line: str) -> None:
        """Shows a message between updates."""
        self._clear()
        self._say.note(line)

    def warn(self, line: str) -> None:
        """Shows a warning between updates."""
        self._clear()
        self._say.warn(line)

    def close(self) -> None:
        """Ends the bar, which stays on the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.clear()


class SceneBars:
    """The progress of the tiles of all started scenes and, if there are several, of the scenes. Thread-safe.

    Bars appear with the first update: an error before it is not preceded by empty ones.
    """

    def __init__(self, say: Console, scenes: int) -> None:
        self._say = say
        self._scenes, self._ended = scenes, 0
        self._at: dict[str, Progress] = {}
        self._lock = threading.Lock()
        self._log = None if _is_on_terminal() else _Log(say)
        self._bars: tuple[tqdm[Any], tqdm[Any]] | None = None
        """Of the scenes and of the tiles."""

    def __enter__(self) -> SceneBars:
        self._lines = ProgressLines("tiles") if shows_json() and not self._say.quiet else None
        return self

    def __exit__(self, *error: object) -> None:
        for bar in reversed(self._bars or ()):
            bar.close()

    def update(self, scene: str, at: Progress) -> None:
        """Shows the progress of a scene."""
        with self._lock:
            if at.resumed and scene not in self._at:
                with self._between():
                    self._say.note(f"{scene}: resumes after {at.resumed:,} of {at.total:,} tiles")
            self._at[scene] = at
            if self._lines is not None:
                self._show_line(self._lines, scene)
                return
            total = sum(one.total - one.resumed for one in self._at.values())
            done = sum(one.done - one.resumed for one in self._at.values())
            text = f"{Path(scene).name}, {at.found:,} found"
            if self._log is not None:
                scenes = f"{self._ended:,} of {self._scenes:,} scenes, " if self._scenes > 1 else ""
                self._log.at(f"{scenes}{done:,} of {total:,} tiles, {text}")
                return
            self._bars = self._bars or self._opened()
            tiles = self._bars[1]
            tiles.total = total
            tiles.set_postfix_str(text, refresh=False)
            tiles.update(done - tiles.n)

    @contextmanager
    def ended(self) -> Generator[None, None, None]:
        """Counts a finished scene; inside, messages can be printed."""
        with self._lock, self._between():
            self._ended += 1
            yield
        if self._bars is not None:
            self._bars[0].update(1)

    def warn(self, line: str) -> None:
        """Shows a warning between the bars' updates."""
        with self._lock, self._between():
            self._say.warn(line)

    def _show_line(self, lines: ProgressLines, scene: str) -> None:
        """Shows a JSON line; scenes that have not started count as many tiles as the others have on average."""
        waiting = self._scenes - max(len(self._at), self._ended)
        total = sum(one.total - one.resumed for one in self._at.values())
        lines.at(
            sum(one.done - one.resumed for one in self._at.values()),
            total + round(waiting * total / len(self._at)),
            sum(one.found for one in self._at.values()),
            scene,
        )

    def _opened(self) -> tuple[tqdm[Any], tqdm[Any]]:
        from tqdm import tqdm

        quiet, several = self._say.quiet, self._scenes > 1
        scenes = tqdm(
            total=self._scenes, initial=self._ended, desc="scenes", unit="scene", position=0,
            disable=quiet or not several, file=sys.stderr,
        )  # fmt: skip
        tiles = tqdm(total=0, desc="tiles", unit="tile", position=int(several), disable=quiet, file=sys.stderr)
        return scenes, tiles

    def _between(self) -> AbstractContextManager[None]:
        """Clears the bars while messages are printed."""
        return nullcontext() if self._bars is None else self._bars[0].external_write_mode(file=sys.stderr)
