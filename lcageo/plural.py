"""Numbers of things in messages."""

from __future__ import annotations

_WITH_ES = ("s", "x", "ch", "sh")


def plural(count: int, noun: str) -> str:
    """A number with its noun: '1 image', '1,086 images', '0 boxes'.

    Args:
        count: how many.
        noun: one of them, in the singular; words before it are kept, as in 'false object'.
    """
    ending = "" if count == 1 else "es" if noun.endswith(_WITH_ES) else "s"
    return f"{count:,} {noun}{ending}"
