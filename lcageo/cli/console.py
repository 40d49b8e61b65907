"""What commands say on standard error, as loud as the user asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcageo.runtime.catalog import ModelCard


@dataclass(frozen=True, slots=True)
class Console:
    """Standard error; standard output is for data alone."""

    quiet: bool = False
    verbose: bool = False

    def note(self, line: str) -> None:
        """Ordinary news."""
        if not self.quiet:
            print(line, file=sys.stderr)  # noqa: T201  # the one place that prints

    def detail(self, line: str) -> None:
        """For those who ask with -v."""
        if self.verbose:
            self.note(line)

    def restriction(self, card: ModelCard) -> None:
        """What a model's weights may be used for: the first time on this machine, and always with -v."""
        from lcageo.runtime.restriction import restriction_notice

        if not self.quiet and (line := restriction_notice(card, always=self.verbose)):
            self.note(line)

    def warn(self, line: str) -> None:
        """What a user should read even with -q."""
        print(f"warning: {_shown(line)}", file=sys.stderr)  # noqa: T201


def error(line: str) -> None:
    """The last line of a command that failed."""
    print(f"error: {_shown(line)}", file=sys.stderr)  # noqa: T201


def trace(text: str) -> None:
    """How it came to an error, for --debug."""
    print(_shown(text), file=sys.stderr)  # noqa: T201


def stopped(line: str) -> None:
    """The last line of a command that the user stopped."""
    print(line, file=sys.stderr)  # noqa: T201


def data(text: str) -> None:
    """Standard output: a path, a table that was asked for, JSON."""
    print(text)  # noqa: T201


def _shown(text: str) -> str:
    """Without the password of a database that was named where none belongs."""
    from lcageo.vector.database_table import without_password

    return without_password(text)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows aligned in columns; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
