"""How QGIS draws a layer of objects: in their classes' colours, the surer the more opaque, with labels at large scale.

Source: what QGIS 3.22 itself saves for such a style (QML), cut down to what differs from its defaults.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import geopandas
import pandas as pd
import pyogrio

from lcageo.palette import PANEL, class_colour
from lcageo.vector.formats import STYLE_MARK
from lcageo.vector.target import FileTarget

LABEL_SCALE = 2500
"""Labels are drawn at 1:2500 and larger: a car is 1.6 mm long there, and more than its own label would be a blot."""
FAINTEST = 40
"""Opacity, per cent, at a score of 0; at 1 it is 100."""
COLUMNS = {"class", "class_id", "score"}
"""What a layer must have to be drawn so."""
QGIS_STYLES = "layer_styles"
"""The table of a GeoPackage from which QGIS takes styles."""
_CASING_MM, _LINE_MM, _TEXT_PT = 1.2, 0.6, 8
_OTHER = (0, 0, 0)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


def classes_in(part: geopandas.GeoDataFrame) -> dict[str, int]:
    """The class names of a layer's part, and the number of each, which its colour goes by."""
    pairs = part[["class", "class_id"]].dropna().drop_duplicates()
    return dict(zip(pairs["class"].astype(str), pairs["class_id"].astype(int), strict=True))


def write_style(classes: Mapping[str, int], target: FileTarget) -> None:
    """Adds a style to a layer that has been written: in a GeoPackage inside, otherwise as a .qml beside it.

    Args:
        classes: by name, the number of each, which its colour goes by.
        target: the layer, as `write_layer` makes it.
    """
    beside = target.style
    if beside is None:
        _keep_inside(qml(classes), target)
    else:
        beside.write_text(qml(classes), encoding="utf-8")


def renew_style(classes: Mapping[str, int], file: Path, layer: str) -> None:
    """Gives a GeoPackage's layer the style of all classes that it now has; one that somebody saved stays.

    Args:
        classes: as of `write_style`.
        file: the GeoPackage.
        layer: its table.
    """
    with closing(sqlite3.connect(file)) as base, base:
        if base.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (QGIS_STYLES,)).fetchone():
            base.execute(
                f"UPDATE {QGIS_STYLES} SET styleQML = ? WHERE f_table_name = ? AND instr(styleQML, ?) > 0",
                (qml(classes), layer, STYLE_MARK),
            )


def qml(classes: Mapping[str, int]) -> str:
    """The style as QGIS's QML.

    Args:
        classes: by name, the number of each, which its colour goes by; in the legend they stand in its order.
    """
    root = Element("qgis", version="3.22.0", styleCategories="Symbology|Labeling", labelsEnabled="1")
    renderer = SubElement(root, "renderer-v2", type="categorizedSymbol", attr="class")
    categories, symbols = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    entries = [(name, class_colour(label)) for name, label in sorted(classes.items(), key=lambda one: one[::-1])]
    # QGIS takes an empty value for all others: objects that were added or reclassified by hand.
    for number, (name, colour) in enumerate([*entries, ("", _OTHER)]):
        name = _NOT_XML.sub("\ufffd", name)
        SubElement(categories, "category", value=name, label=name or "other", symbol=str(number), render="true")
        _add_symbol(symbols, str(number), colour)
    _add_labels(root)
    indent(root)
    return f"<!-- {STYLE_MARK} -->\n{tostring(root, encoding='unicode')}\n"


def _add_symbol(symbols: Element, name: str, colour: tuple[int, int, int]) -> None:
    """An outline with a dark casing, so that it is seen on roofs and on water, and a tint."""
    symbol = SubElement(symbols, "symbol", type="fill", name=name, alpha="1")
    opacity = f'coalesce(scale_linear(to_real("score"), 0, 1, {FAINTEST}, 100), 100)'  # CSV has text only
    expression = {"active": True, "expression": opacity, "type": 3}  # 3: QgsProperty's ExpressionBasedProperty
    properties = SubElement(symbol, "data_defined_properties")
    _add_option(properties, "", {"properties": {"alpha": expression}, "type": "collection"})
    casing = {"line_color": _rgba(PANEL, 200), "line_width": str(_CASING_MM), "line_width_unit": "MM"}
    line = {"outline_color": _rgba(colour, 255), "outline_width": str(_LINE_MM), "outline_width_unit": "MM"}
    tint = {"color": _rgba(colour, 30), "style": "solid", "outline_style": "solid", "joinstyle": "miter"}
    for kind, options in (("SimpleLine", casing | {"joinstyle": "miter"}), ("SimpleFill", line | tint)):
        _add_option(SubElement(symbol, "layer", {"class": kind, "enabled": "1"}), "", options)


def _add_labels(root: Element) -> None:
    """Class and score outside of the box, at large scales only."""
    settings = SubElement(SubElement(root, "labeling", type="simple"), "settings")
    text = SubElement(
        settings,
        "text-style",
        fieldName='"class" || \' \' || format_number("score", 2)',
        isExpression="1",
        fontSize=str(_TEXT_PT),
        fontSizeUnit="Point",
        fontWeight="50",  # QFont::Normal; none would be the thinnest
        textColor=_rgba(PANEL, 255),
    )
    SubElement(text, "text-buffer", bufferDraw="1", bufferSize="0.7", bufferSizeUnits="MM", bufferColor="255,255,255")
    SubElement(settings, "placement", placement="8", polygonPlacementFlags="2")  # 8: OutsidePolygons
    SubElement(settings, "rendering", drawLabels="1", scaleVisibility="1", scaleMin="1", scaleMax=str(LABEL_SCALE))


def _add_option(parent: Element, name: str, value: Any) -> None:
    """A value as Qt's QVariant in XML, maps with all that they hold."""
    kind = {dict: "Map", bool: "bool", int: "int", str: "QString"}[type(value)]
    option = SubElement(parent, "Option", {"type": kind} | ({"name": name} if name else {}))
    if isinstance(value, dict):
        for key, inner in value.items():
            _add_option(option, key, inner)
    else:
        option.set("value", str(value).lower() if isinstance(value, bool) else str(value))


def _rgba(colour: tuple[int, int, int], alpha: int) -> str:
    return ",".join(map(str, (*colour, alpha)))


def _keep_inside(style: str, target: FileTarget) -> None:
    """Into a GeoPackage, in the table that QGIS makes when it is told to save a style in the database."""
    row = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": target.layer,
        "f_geometry_column": pyogrio.read_info(target.path)["geometry_name"],
        "styleName": target.path.stem,
        "styleQML": style,
        "styleSLD": "",
        "useAsDefault": True,
        "description": STYLE_MARK,
        "owner": "",
        "ui": "",
        "update_time": pd.Timestamp.now("UTC").floor("ms"),
    }
    rows = pd.DataFrame([row])
    pyogrio.write_dataframe(rows, target.path, layer=QGIS_STYLES, driver="GPKG", layer_options={"FID": "id"})
