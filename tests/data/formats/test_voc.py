from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.makers import BILLION_LAUGHS, voc_object, voc_xml, write_dior

from lcageo.data.annotations import SplitName
from lcageo.data.formats.dior import read_dior
from lcageo.data.formats.voc import read_voc, voc_box, voc_size
from lcageo.data.formats.voc import voc_object as parse_object
from lcageo.errors import DataError

COLUMNS = st.integers(1, 30)


@given(COLUMNS, COLUMNS, COLUMNS, COLUMNS)
def test_a_voc_box_covers_its_first_and_last_pixel_counted_from_one(a: int, b: int, c: int, d: int) -> None:
    xmin, xmax, ymin, ymax = min(a, b), max(a, b), min(c, d), max(c, d)
    covered = np.zeros((31, 31), np.bool_)
    for row in range(ymin, ymax + 1):  # the definition, pixel by pixel
        for column in range(xmin, xmax + 1):
            covered[row - 1, column - 1] = True
    x1, y1, x2, y2 = voc_box(xmin, ymin, xmax, ymax)
    assert covered.sum() == (x2 - x1) * (y2 - y1) == covered[int(y1) : int(y2), int(x1) : int(x2)].sum()


def test_a_record_gives_size_objects_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    flag = "<difficult>1</difficult>"
    path.write_text(voc_xml(voc_object(), voc_object("windmill", (1, 1, 40, 30), flag)))
    root = read_voc(path)
    assert voc_size(root) == (40, 30)
    nodes = [node for node in root.children if node.tag == "object"]
    assert [node.line for node in nodes] == [3, 4]
    first, second = map(parse_object, nodes)
    assert (first.name, first.box, first.difficult) == ("ship", (1, 2, 4, 6), False)
    assert (second.name, second.box, second.difficult) == ("windmill", (0, 0, 40, 30), True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BILLION_LAUGHS, "declares entities"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd" [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "entities"),
        (voc_xml(voc_object())[:80], "line 3 is not XML"),
        ("", "is not XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "is not XML"),
        ("<html/>", "has no <annotation> element"),
    ],
)
def test_files_that_are_not_harmless_voc_records_are_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(DataError, match=words):
        read_voc(tmp_path / "a.xml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_voc(tmp_path / "a.xml")


@pytest.mark.parametrize("width", ["", "forty", "nan", "inf", "1e300", "0", "-4", "40.5"])
def test_sizes_that_are_not_whole_pixels_are_refused(tmp_path: Path, width: str) -> None:
    (tmp_path / "a.xml").write_text(voc_xml(width=width))
    with pytest.raises(DataError, match=r"not a number of pixels|not positive whole numbers"):
        voc_size(read_voc(tmp_path / "a.xml"))


@pytest.mark.parametrize("xml", ["<object/>", "<object><name>ship</name></object>", voc_object(box=(1, 2, "x", 4))])
def test_objects_that_lack_something_are_refused(tmp_path: Path, xml: str) -> None:
    (tmp_path / "a.xml").write_text(voc_xml(xml))
    with pytest.raises(DataError, match=r"lacks <bndbox>|<xmax> is 'x'"):
        parse_object(read_voc(tmp_path / "a.xml").children[1])


TEMPLATE = voc_xml(voc_object(), voc_object("harbor")).encode()


@given(st.one_of(st.binary(max_size=200), st.integers(0, len(TEMPLATE)).map(lambda end: TEMPLATE[:end])), st.data())
def test_no_bytes_raise_anything_but_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.xml"
    place = data.draw(st.integers(0, len(TEMPLATE)))
    for text in (content, TEMPLATE[:place] + content + TEMPLATE[place + len(content) :]):
        path.write_bytes(text)
        try:
            for node in read_voc(path).children:
                parse_object(node)
        except DataError:
            pass


NUMBERS = st.integers() | st.floats() | st.integers(1, 50)
TEXTS = st.one_of(
    NUMBERS.map(str), st.sampled_from(["", "ship", "1e999", "&lt;", "&x;", "9" * 5000]), st.text(max_size=3)
)
TAGS = st.sampled_from(
    ["size", "width", "height", "object", "bndbox", "xmin", "ymin", "xmax", "ymax", "name", "difficult"]
)


def element(tag: str, content: list[str]) -> str:
    return f"<{tag}>{''.join(content)}</{tag}>"


TREES = st.recursive(TEXTS, lambda inner: st.builds(element, TAGS, st.lists(inner, max_size=6)), max_leaves=20)
BOXES = st.builds(voc_object, TEXTS, st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), TREES)


@given(st.lists(TREES | BOXES, max_size=4), TEXTS | st.just("40"), TEXTS | st.just("30"))
def test_no_record_stops_the_reading_of_its_set(
    tmp_path_factory: pytest.TempPathFactory, objects: list[str], width: str, height: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "dior"
    if not root.exists():
        write_dior(root, {"00001": voc_xml()})
    record = root / "Annotations" / "Horizontal Bounding Boxes" / "00001.xml"
    record.write_text(voc_xml(*objects, width=width, height=height), "utf-8")
    read = read_dior(root, SplitName.TRAIN)
    assert len(read) <= 1
    "\n".join(map(str, read.problems)).encode()  # can be printed
