"""Progress on standard error, with messages between: bars on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcageo.cli.console import Console

if TYPE_CHECKING:
    from tqdm import tqdm

    from lcageo.inference.scene import Progress

LINE_EVERY_S = 60.0
"""In a log, a bar's control characters would be noise, and a line for each update too much."""


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

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def at(self, done: float, total: float, text: str = "") -> None:
        """Shows the progress, and a short text; `total` may change."""
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
            yield
        self._ended += 1
        if self._bars is not None:
            self._bars[0].update(1)

    def warn(self, line: str) -> None:
        """Shows a warning between the bars' updates."""
        with self._lock, self._between():
            self._say.warn(line)

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
