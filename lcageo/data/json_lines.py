"""Where in a JSON file a record stands: json tells of a value that is wrong only what it is."""

from __future__ import annotations

import json
import re
from bisect import bisect_right

_SPACE = re.compile(r"[ \t\n\r]*")


def record_lines(text: str, key: str) -> list[int]:
    """The line (from 1) on which each record of one of the file's lists begins.

    Args:
        text: valid JSON, an object.
        key: of a list in that object; of several with this key the last counts, as for json.
    """
    decode = json.JSONDecoder().raw_decode
    places: list[int] = []
    at = _after_space(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = decode(text, at)
        at = _after_space(text, _after_space(text, at) + 1)  # past the colon
        if name == key:
            places, at = _record_places(text, at)
        else:
            _, at = decode(text, at)
        at = _after_comma(text, at)
    breaks = [found.start() for found in re.finditer("\n", text)]
    return [1 + bisect_right(breaks, place) for place in places]


def _record_places(text: str, at: int) -> tuple[list[int], int]:
    """Where the records of the list at `at` begin, and where it ends."""
    decode = json.JSONDecoder().raw_decode
    places = []
    at = _after_space(text, at + 1)
    while text[at] != "]":
        places.append(at)
        _, at = decode(text, at)
        at = _after_comma(text, at)
    return places, at + 1


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _after_comma(text: str, at: int) -> int:
    at = _after_space(text, at)
    return _after_space(text, at + 1) if text[at] == "," else at
