"""Assembles a page from template, style, scripts, data and picture: one HTML file that works offline.

The page's Content-Security-Policy keeps the browser from loading anything and from running any script but ours: names
of classes, scenes and files are untrusted.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG_QUALITY = 82
"""Between Pillow's default of 75, which blurs objects of a few pixels, and 92, which doubles the size."""


def make_page(template: str, scripts: Sequence[str], title: str, data: Mapping[str, Any], picture: str = "") -> str:
    """Returns the HTML text of a page.

    Args:
        template: file in `assets`, with the placeholders {{policy}}, {{style}}, {{title}}, {{script}}, {{data}} and
            {{picture}}.
        scripts: files in `assets`, concatenated into one script in this order.
        title: of the page, plain text.
        data: for the scripts, JSON-ready.
        picture: a data: URL.
    """
    style, script = _read("page.css"), "\n".join(map(_read, scripts))
    parts = {
        "policy": f"default-src 'none'; img-src data:; script-src {_allowed(script)}; style-src {_allowed(style)}",
        "style": style,
        "script": script,
        "title": html.escape(title),
        "picture": html.escape(picture),
        # Inside a script element, only "<" can end it or start other markup.
        "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    # In one pass, so that placeholders in inserted text are not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read(template))


def picture_address(image: NDArray[np.uint8], longest_side: int | None = None) -> str:
    """(3, h, w) uint8 as a JPEG in a data: URL, reduced to `longest_side` if that is given."""
    stream, picture = io.BytesIO(), Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    if longest_side is not None:
        picture.thumbnail((longest_side, longest_side))
    picture.save(stream, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def provenance_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A layer's processing metadata as rows of a table; a nested entry is named "outer: inner"."""
    rows: list[tuple[str, str]] = []
    for name, value in provenance.items():
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            rows += [(f"{label}: {inner}", text) for inner, text in provenance_rows(value)]
        else:
            rows.append((label, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows


def _read(name: str) -> str:
    return (resources.files("lcageo.report") / "assets" / name).read_text("utf-8")


def _allowed(text: str) -> str:
    """The policy source that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
