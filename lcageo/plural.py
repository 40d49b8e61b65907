"""Numbers in messages."""

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


def rounded(value: float, digits: int = 3) -> str:
    """A number in so many digits, without an exponent: '0.123', '842', '12346', which options accept, too.

    Args:
        value: any finite number.
        digits: significant digits at most, but for those before the decimal point, which are all written.
    """
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
