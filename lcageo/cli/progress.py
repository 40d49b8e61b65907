"""Progress bars on standard error, with lines between their updates."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lcageo.cli.console import Console

if TYPE_CHECKING:
    from tqdm import tqdm


class Bar:
    """One bar; it appears with the first update and goes with `close`."""

    def __init__(self, say: Console, title: str, unit: str) -> None:
        self._say = say
        self._title = title
        self._unit = unit
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def at(self, done: float, total: float, text: str = "") -> None:
        """Shows how far things are, and a few words."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, desc=self._title, unit=self._unit, disable=self._say.quiet, file=sys.stderr, leave=True
            )
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def note(self, line: str) -> None:
        """Ordinary news between updates."""
        self._clear()
        self._say.note(line)

    def warn(self, line: str) -> None:
        """A warning between updates."""
        self._clear()
        self._say.warn(line)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.clear()
