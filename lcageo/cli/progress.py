"""Progress bars on standard error, with messages between their updates."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcageo.cli.console import Console, shows_json
from lcageo.cli.progress_lines import ProgressLines

if TYPE_CHECKING:
    from tqdm import tqdm

    from lcageo.inference.scene import Progress


class Bar:
    """One progress bar; it appears with the first update and ends with `close`."""

    def __init__(self, say: Console, title: str, unit: str) -> None:
        self._say = say
        self._title = title
        self._unit = unit
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
    """Progress bars of the tiles of all started scenes and, if there are several, of the scenes. Thread-safe."""

    def __init__(self, say: Console, scenes: int) -> None:
        self._say = say
        self._scenes = scenes
        self._at: dict[str, Progress] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> SceneBars:
        from tqdm import tqdm

        self._write = tqdm.external_write_mode
        quiet, several = self._say.quiet or shows_json(), self._scenes > 1
        self._lines = ProgressLines("tiles") if shows_json() and not self._say.quiet else None
        self._ended = 0
        self._scene_bar = tqdm(
            total=self._scenes, desc="scenes", unit="scene", position=0, disable=quiet or not several, file=sys.stderr
        )
        self._tile_bar = tqdm(total=0, desc="tiles", unit="tile", position=int(several), disable=quiet, file=sys.stderr)
        return self

    def __exit__(self, *error: object) -> None:
        self._tile_bar.close()
        self._scene_bar.close()

    def update(self, scene: str, at: Progress) -> None:
        """Shows the progress of a scene."""
        with self._lock:
            if at.resumed and scene not in self._at:
                self._between(f"{scene}: resumes after {at.resumed:,} of {at.total:,} tiles")
            self._at[scene] = at
            self._tile_bar.total = sum(one.total - one.resumed for one in self._at.values())
            if self._lines is not None:
                self._show_line(self._lines, scene)
            self._tile_bar.set_postfix_str(f"{Path(scene).name}, {at.found:,} found", refresh=False)
            self._tile_bar.update(sum(one.done - one.resumed for one in self._at.values()) - self._tile_bar.n)

    @contextmanager
    def ended(self) -> Generator[None, None, None]:
        """Counts a finished scene; inside, messages can be printed."""
        with self._lock, self._write(file=sys.stderr):
            self._ended += 1
            yield
        self._scene_bar.update(1)

    def warn(self, line: str) -> None:
        """Shows a warning between the bars' updates."""
        with self._lock, self._write(file=sys.stderr):
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

    def _between(self, line: str) -> None:
        with self._write(file=sys.stderr):
            self._say.note(line)
