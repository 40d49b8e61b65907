from __future__ import annotations

import base64
import hashlib
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from lcageo.report import scene as scene_page
from lcageo.report import survey as survey_page
from lcageo.report.page import make_page, picture_address, provenance_rows

EVIL = "</script><script>alert(1)</script><!--<script>{{data}}&amp;\"'\u2028"
TEMPLATES = {"scene.html": scene_page.SCRIPTS, "survey.html": survey_page.SCRIPTS}


class Reader(HTMLParser):
    """Collects elements and their text with Python's own parser."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag in ("script", "style", "title", "h1"):
            self.texts.setdefault(tag, []).append("")
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data


@pytest.mark.parametrize("template", TEMPLATES)
def test_text_of_any_kind_stays_text(template: str) -> None:
    read = Reader(make_page(template, TEMPLATES[template], EVIL, {"text": EVIL}))
    assert read.texts["title"] == [EVIL] and read.texts["h1"] == [EVIL]
    data, script = read.texts["script"]
    assert json.loads(data) == {"text": EVIL} and "alert(1)" not in script


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_policy_allows_our_script_and_style_and_nothing_else(template: str) -> None:
    read = Reader(make_page(template, TEMPLATES[template], "t", {}))
    (policy,) = [about["content"] for tag, about in read.attributes if tag == "meta" and "http-equiv" in about]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    hashes = {
        name: base64.b64encode(hashlib.sha256(read.texts[name][-1].encode()).digest()).decode()
        for name in ("script", "style")
    }
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "script-src": f"'sha256-{hashes['script']}'",
        "style-src": f"'sha256-{hashes['style']}'",
    }
    addresses = [value for _, about in read.attributes for name, value in about.items() if name in ("src", "href")]
    assert all(not address or address.startswith("data:") for address in addresses)
    assert not any(name.startswith("on") or name == "style" for _, about in read.attributes for name in about)


def test_a_picture_is_its_image_and_a_thumbnail_is_smaller() -> None:
    image = np.zeros((3, 40, 80), np.uint8)
    image[0, :, 40:] = 250
    for longest, size in ((None, (80, 40)), (20, (20, 10)), (500, (80, 40))):
        address = picture_address(image, longest)
        assert address.startswith("data:image/jpeg;base64,")
        with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
            assert picture.size == size
            left, right = (picture.getpixel((x, size[1] // 2)) for x in (1, size[0] - 2))
        assert (
            isinstance(left, tuple) and isinstance(right, tuple) and left[0] < 15 and right[0] > 235 and right[2] < 15
        )


def test_provenance_becomes_rows() -> None:
    assert provenance_rows({"model": "m", "scene_gsd_m": 0.5, "parameters": {"score": None, "max_per_tile": 3}}) == [
        ("model", "m"),
        ("scene gsd m", "0.5"),
        ("parameters: score", "null"),
        ("parameters: max per tile", "3"),
    ]
