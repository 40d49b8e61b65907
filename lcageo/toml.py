"""Writes TOML, which the standard library only reads: plain values, lists and tables, as in cards and recipes.

No third-party library, because training must run on nodes that have little more than torch.

Source:
    TOML 1.0.0. Its basic strings are JSON's, but cannot hold lone surrogates and escape the delete character.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_text(entries: Mapping[str, Any]) -> str:
    """The TOML document; `tomllib` reads it back equal (lists for tuples).

    Args:
        entries: strings, numbers, truth values, lists of these (also of lists), and mappings, which become tables.

    Raises:
        TypeError: if they hold a value of another type.
    """
    return "\n".join(_lines(entries, ())).lstrip("\n") + "\n"


def _lines(entries: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """A table's own values, then its subtables: values after a header would belong to that subtable."""
    tables = {name: value for name, value in entries.items() if isinstance(value, Mapping)}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in entries.items() if name not in tables]
    for name, table in tables.items():
        inner = (*path, name)
        lines += ["", f"[{'.'.join(map(_key, inner))}]", *_lines(table, inner)]
    return lines


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _string(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))  # TOML spells nan and inf as Python does
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"TOML cannot hold {value!r}")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
