"""The form and the style with which QGIS opens a review layer: is this object right, wrong, or of another class?

Source: what QGIS 3.22 itself saves for such a style (QML), reduced to what differs from its defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lcageo.palette import PALETTE, PANEL
from lcageo.vector.formats import STYLE_MARK
from lcageo.vector.style import add_labels, add_option, rgba, xml_text

VERDICT, NEW_CLASS = "verdict", "new_class"
"""Columns that the user fills in."""
TILE, OBJECT = "tile", "object"
"""Values of the column `kind`."""


class Verdict(StrEnum):
    """What the user says about an object."""

    RIGHT = "right"
    WRONG = "wrong"
    OTHER_CLASS = "other class"


_OPEN = "undecided"
_COLOURS = {
    _OPEN: PALETTE[3],
    Verdict.RIGHT.value: PALETTE[2],
    Verdict.WRONG.value: PALETTE[4],
    Verdict.OTHER_CLASS.value: PALETTE[1],
    TILE: PALETTE[7],
}
"""Colours in the legend's order, from those that colour-blind readers can tell apart."""
_CASING_MM, _LINE_MM = 1.2, 0.6
_SHOWN = ("id", "kind", "class", "score", "uncertain", "candidates", "scene")
"""What the form shows and does not let change, except for the class."""


def review_qml(classes: Iterable[str]) -> str:
    """The form and the style as QGIS's QML.

    Args:
        classes: those to choose from for objects of another class.
    """
    root = Element("qgis", version="3.22.0", styleCategories="Symbology|Labeling|Fields|Forms", labelsEnabled="1")
    renderer = SubElement(root, "renderer-v2", type="categorizedSymbol")
    renderer.set("attr", f"coalesce(\"{VERDICT}\", if(\"kind\" = '{TILE}', '{TILE}', '{_OPEN}'))")
    categories, symbols = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    for value, colour in _COLOURS.items():
        SubElement(categories, "category", value=value, label=value, symbol=value, render="true")
        _add_outline(symbols, value, colour)
    is_object = f"coalesce(\"kind\", '{OBJECT}') <> '{TILE}'"
    text = f"coalesce(\"{NEW_CLASS}\", \"class\", '') || coalesce(' ' || format_number(\"score\", 2), '')"
    add_labels(root, f"if({is_object}, {text}, NULL)", nested=True)
    _add_form(root, classes)
    indent(root)
    return f"<!-- {STYLE_MARK} -->\n{tostring(root, encoding='unicode')}\n"


def _add_outline(symbols: Element, name: str, colour: tuple[int, int, int]) -> None:
    """An outline on a dark casing and no fill, so that the picture inside can be judged; tiles are dashed."""
    symbol = SubElement(symbols, "symbol", type="fill", name=name, alpha="1")
    casing = (PANEL, 200, _CASING_MM, "solid")
    line = (colour, 255, _LINE_MM, "dash" if name == TILE else "solid")
    for rgb, alpha, width, style in (casing, line):
        options = {"line_color": rgba(rgb, alpha), "line_width": str(width), "line_width_unit": "MM"}
        layer = SubElement(symbol, "layer", {"class": "SimpleLine", "enabled": "1"})
        add_option(layer, "", options | {"line_style": style, "joinstyle": "miter"})


def _add_form(root: Element, classes: Iterable[str]) -> None:
    """A form with two choices at the top; what is drawn by hand is an object, and right."""
    widgets = SubElement(root, "fieldConfiguration")
    _add_choice(widgets, VERDICT, {one.value: one.value for one in Verdict})
    _add_choice(widgets, NEW_CLASS, {xml_text(name): xml_text(name) for name in classes})
    aliases, defaults = SubElement(root, "aliases"), SubElement(root, "defaults")
    for field, alias in ((VERDICT, "This object is"), (NEW_CLASS, "Its class is")):
        SubElement(aliases, "alias", field=field, name=alias)
    for field, value in ((VERDICT, Verdict.RIGHT.value), ("kind", OBJECT)):
        SubElement(defaults, "default", field=field, expression=f"'{value}'", applyOnUpdate="0")
    SubElement(root, "featformsuppress").text = "0"
    SubElement(root, "editorlayout").text = "tablayout"
    form = SubElement(root, "attributeEditorForm")
    for field in (VERDICT, NEW_CLASS, *_SHOWN):
        SubElement(form, "attributeEditorField", name=field, showLabel="1")
    editable = SubElement(root, "editable")
    for field in _SHOWN:
        SubElement(editable, "field", name=field, editable=str(int(field == "class")))


def _add_choice(widgets: Element, field: str, values: Mapping[str, str]) -> None:
    """A list to choose from, with an empty entry for none."""
    widget = SubElement(SubElement(widgets, "field", name=field), "editWidget", type="ValueMap")
    options = SubElement(SubElement(widget, "config"), "Option", type="Map")
    choices = SubElement(options, "Option", type="List", name="map")
    for shown, value in {"": _NULL, **values}.items():
        add_option(SubElement(choices, "Option", type="Map"), shown, value)


_NULL = "{2839923C-8B7D-419E-B84B-CA2FE9B80EC7}"
"""QGIS's code for no value in such a list (QgsValueMapFieldFormatter::NULL_VALUE)."""
