"""Reads one VOC XML file: its image's size and its objects, each with the line it starts on.

Only this module knows VOC's boxes: 1-based and inclusive. Column xmin is the first and xmax the last column that the
object covers, counted from 1; so in continuous pixels x1 = xmin - 1 and x2 = xmax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from lcageo.data.annotations import MAX_SIDE_PX, Box, turned_bounds
from lcageo.errors import DataError
from lcageo.extras import require

SHAPES = ("polygon", "robndbox", "points")
"""Elements from which a box is made where there is no <bndbox>."""


@dataclass(frozen=True, slots=True)
class VocObject:
    """One labelled object."""

    name: str
    box: Box
    """Continuous pixels; not yet checked against the image."""
    difficult: bool
    turn: float = 0.0
    """Angle by which the box is turned around its centre, radians."""
    shape: str = ""
    """What its box is the bounds of, if it has no box of its own: one of SHAPES."""


@dataclass(slots=True)
class Node:
    """One XML element."""

    tag: str
    line: int
    parts: list[str] = field(default_factory=list)
    """Pieces of its own text."""
    children: list[Node] = field(default_factory=list)

    def child(self, tag: str) -> Node:
        """Its first child with that tag.

        Raises:
            DataError: if there is none.
        """
        for child in self.children:
            if child.tag == tag:
                return child
        raise DataError(f"<{self.tag}> lacks <{tag}>")

    def text(self, tag: str) -> str:
        """The text in its first child with that tag, without surrounding white space."""
        return "".join(self.child(tag).parts).strip()

    def number(self, tag: str) -> float:
        """The number in its first child with that tag.

        Raises:
            DataError: if there is none, or not a finite number of reasonable size.
        """
        text = self.text(tag)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not abs(value) <= MAX_SIDE_PX:  # also refuses NaN
            raise DataError(f"<{tag}> is {text[:40]!r}, not a number of pixels")
        return value


def read_voc(path: Path) -> Node:
    """The <annotation> element of a file.

    Raises:
        DataError: if the file cannot be read, is not XML, or declares entities (which can exhaust memory).
        UsageError: if defusedxml is not installed.
    """
    require("reading VOC XML", "train", "defusedxml")
    import defusedxml.sax
    from defusedxml.common import DefusedXmlException

    tree = _Tree()
    try:
        defusedxml.sax.parseString(path.read_bytes(), tree)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
    except SAXParseException as error:
        raise DataError(f"line {error.getLineNumber()} is not XML: {error.getMessage()}") from error
    except DefusedXmlException as error:
        raise DataError("declares entities or refers to other files, which labels never need") from error
    except (SAXException, ValueError, LookupError) as error:  # the last two: encodings that do not exist or do not fit
        raise DataError(f"is not XML: {error}") from error
    if tree.root is None or tree.root.tag != "annotation":
        raise DataError("has no <annotation> element")
    return tree.root


def voc_size(root: Node) -> tuple[int, int]:
    """The image's width and height.

    Raises:
        DataError: if they are missing, or not positive whole numbers.
    """
    size = root.child("size")
    width, height = size.number("width"), size.number("height")
    if not (width.is_integer() and height.is_integer() and min(width, height) >= 1):
        raise DataError(f"<size> is {width:g} x {height:g}, not positive whole numbers")
    return int(width), int(height)


def voc_object(node: Node) -> VocObject:
    """The object that an <object> element describes.

    Raises:
        DataError: if its name or box is missing or malformed.
    """
    tags = [child.tag for child in node.children]
    shape = next((tag for tag in SHAPES if tag in tags), "") if "bndbox" not in tags else ""
    if shape:
        box = _bounds(node.child(shape))
    else:
        bounds = node.child("bndbox")
        box = voc_box(*(bounds.number(tag) for tag in ("xmin", "ymin", "xmax", "ymax")))
    difficult = "difficult" in tags and node.number("difficult") != 0
    named = node.child("possibleresult") if "name" not in tags and "possibleresult" in tags else node
    return VocObject(named.text("name"), box, difficult, 0.0 if shape else _turn(node), shape)


def _turn(node: Node) -> float:
    """The angle of a turned box, which CVAT writes as an attribute, in degrees; 0 if there is none."""
    lists = [child for child in node.children if child.tag == "attributes"]
    for one in (attribute for attributes in lists for attribute in attributes.children):
        tags = {child.tag for child in one.children}
        if tags >= {"name", "value"} and one.text("name") == "rotation":
            return math.radians(one.number("value"))
    return 0.0


def _bounds(shape: Node) -> Box:
    """The bounds of a polygon (x1, y1, x2 ..., LabelMe's points), of corners (DIOR-R) or a turned box (roLabelImg).

    FAIR1M's corners are texts 'x,y' (Sun et al., FAIR1M: A benchmark dataset for fine-grained object recognition in
    high-resolution remote sensing imagery, 2022).
    """
    tags = {child.tag for child in shape.children}
    if "point" in tags:
        corners = [_pair(child) for child in shape.children if child.tag == "point"]
        across, down = zip(*corners, strict=True)
        return min(across), min(down), max(across), max(down)
    if "cx" in tags:
        x, y, width, height, angle = (shape.number(tag) for tag in ("cx", "cy", "w", "h", "angle"))
        return turned_bounds((x - width / 2, y - height / 2, x + width / 2, y + height / 2), angle)
    points = [child for child in shape.children if child.tag == "pt"] or [shape]
    xs, ys = (
        [point.number(one.tag) for point in points for one in point.children if one.tag.startswith(axis)]
        for axis in "xy"
    )
    if not xs or len(xs) != len(ys):
        raise DataError(f"<{shape.tag}> has no pairs of coordinates")
    return min(xs), min(ys), max(xs), max(ys)


def _pair(point: Node) -> tuple[float, float]:
    text = "".join(point.parts).strip()
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        x = y = math.nan
    if not max(abs(x), abs(y)) <= MAX_SIDE_PX:  # also refuses NaN
        raise DataError(f"<{point.tag}> is {text[:40]!r}, not two numbers of pixels")
    return x, y


def voc_box(xmin: float, ymin: float, xmax: float, ymax: float) -> Box:
    """A 1-based inclusive box, converted to continuous pixels."""
    return xmin - 1, ymin - 1, xmax, ymax


class _Tree(ContentHandler):
    """Builds nodes. ElementTree would do if it kept the line numbers that our messages name."""

    def __init__(self) -> None:
        super().__init__()
        self.root: Node | None = None
        self._open: list[Node] = []
        self._locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802 - named by the base class
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - named by the base class
        assert self._locator is not None, "expat gives its locator before the first element"
        node = Node(name, self._locator.getLineNumber() or 0)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def endElement(self, name: str) -> None:  # noqa: N802 - named by the base class
        self._open.pop()

    def characters(self, content: str) -> None:
        if self._open:
            self._open[-1].parts.append(content)
