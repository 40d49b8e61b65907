"""Line numbers of the records in a JSON file, for error messages: the json module does not keep them."""

from __future__ import annotations

import json
import re
from bisect import bisect_right

_SPACE = re.compile(r"[ \t\n\r]*")


def record_lines(text: str, key: str) -> list[int]:
    """The line (from 1) on which each record of one of the file's lists starts.

    Args:
        text: valid JSON, an object.
        key: key of a list in that object; if it occurs several times, the last one counts, as in json.
    """
    decode = json.JSONDecoder().raw_decode
    starts: list[int] = []
    at = _after_space(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = decode(text, at)
        at = _after_space(text, _after_space(text, at) + 1)  # past the colon
        if name == key:
            starts, at = _record_starts(text, at)
        else:
            _, at = decode(text, at)
        at = _after_comma(text, at)
    breaks = [found.start() for found in re.finditer("\n", text)]
    return [1 + bisect_right(breaks, start) for start in starts]


def _record_starts(text: str, at: int) -> tuple[list[int], int]:
    """Positions of the records of the list at `at`, and the position after its end."""
    decode = json.JSONDecoder().raw_decode
    starts = []
    at = _after_space(text, at + 1)
    while text[at] != "]":
        starts.append(at)
        _, at = decode(text, at)
        at = _after_comma(text, at)
    return starts, at + 1


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _after_comma(text: str, at: int) -> int:
    at = _after_space(text, at)
    return _after_space(text, at + 1) if text[at] == "," else at
