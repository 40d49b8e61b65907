"""The QGIS style of a layer: coloured by class, more opaque with a higher score, with labels at large scales.

Source: what QGIS 3.22 itself saves for such a style (QML), reduced to what differs from its defaults.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import geopandas
import pandas as pd
import pyogrio

from lcageo.palette import PANEL, class_colour
from lcageo.vector.formats import STYLE_MARK
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget

LABEL_SCALE = 2500
"""Labels are drawn at 1:2500 and larger scales: a car is 1.6 mm long at this scale; below it labels would overlap."""
FAINTEST = 40
"""Opacity in percent at a score of 0; it is 100 at a score of 1."""
COLUMNS = {"class", "class_id", "score"}
"""Columns that a layer must have to get a style."""
QGIS_STYLES = "layer_styles"
"""The table of a GeoPackage in which QGIS keeps styles."""
_CASING_MM, _LINE_MM, _TEXT_PT = 1.2, 0.6, 8
_OTHER = (0, 0, 0)
CANDIDATE = "(candidate)"
"""Value and symbol of what was kept below the thresholds."""
_BESIDE = {"placement": "8", "polygonPlacementFlags": "2"}  # 8: OutsidePolygons
_AT_CORNER = {
    "placement": "1",  # OverPoint
    "quadOffset": "2",  # AboveRight
    "geometryGenerator": "make_point(x_min($geometry), y_max($geometry))",
    "geometryGeneratorEnabled": "1",
    "geometryGeneratorType": "PointGeometry",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


def classes_in(part: geopandas.GeoDataFrame) -> dict[str, int]:
    """The class names in a part of a layer, with the number that determines each one's colour."""
    pairs = part[["class", "class_id"]].dropna().drop_duplicates()
    return dict(zip(pairs["class"].astype(str), pairs["class_id"].astype(int), strict=True))


def write_style(style: str, target: FileTarget) -> None:
    """Adds a style to a layer that has been written: inside a GeoPackage, otherwise as a .qml file beside it.

    Args:
        style: QML, such as from `qml`.
        target: the layer, as `write_layer` wrote it.
    """
    if target.style is None:
        _keep_inside(style, target)
    else:
        target.style.write_text(style, encoding="utf-8")


def hidden_below(record: RunRecord) -> dict[str, float]:
    """Minimum score per class of what a layer's style shows; empty if the layer has no candidates."""
    return record.least_scores() if record.has_candidates else {}


def renew_style(classes: Mapping[str, int], record: RunRecord, file: Path, layer: str) -> None:
    """Updates the style of a GeoPackage's layer to the classes that it now has; a style that a user saved is kept.

    Args:
        classes: as in `write_style`.
        record: of the layer, with all that was appended.
        file: the GeoPackage.
        layer: its table.
    """
    with closing(sqlite3.connect(file.absolute())) as base, base:
        if base.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (QGIS_STYLES,)).fetchone():
            base.execute(
                f"UPDATE {QGIS_STYLES} SET styleQML = ? WHERE f_table_name = ? AND instr(styleQML, ?) > 0",
                (qml(classes, hidden_below(record)), layer, STYLE_MARK),
            )


def qml(classes: Mapping[str, int], minimum: Mapping[str, float] = MappingProxyType({})) -> str:
    """The style as QGIS's QML.

    Args:
        classes: number of each class by name, which determines its colour and its position in the legend.
        minimum: score per class below which objects are candidates, which are neither drawn nor labelled until the
            user ticks them in the legend; empty: there are none.
    """
    found = _is_found(minimum) if minimum else ""
    shown = f"if({found}, \"class\", '{CANDIDATE}')" if found else "class"
    root = Element("qgis", version="3.22.0", styleCategories="Symbology|Labeling", labelsEnabled="1")
    renderer = SubElement(root, "renderer-v2", type="categorizedSymbol", attr=shown)
    categories, symbols = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    entries = [(name, class_colour(label)) for name, label in sorted(classes.items(), key=lambda one: one[::-1])]
    # In QGIS an empty value stands for all others: objects that were added or reclassified by hand.
    for number, (name, colour) in enumerate([*entries, ("", _OTHER)]):
        name = xml_text(name)
        SubElement(categories, "category", value=name, label=name or "other", symbol=str(number), render="true")
        _add_symbol(symbols, str(number), colour)
    if found:
        _add_symbol(symbols, CANDIDATE, _OTHER)
        SubElement(categories, "category", value=CANDIDATE, label="candidates", symbol=CANDIDATE, render="false")
    text = '"class" || \' \' || format_number("score", 2)'
    add_labels(root, f"if({found}, {text}, NULL)" if found else text)
    indent(root)
    return f"<!-- {STYLE_MARK} -->\n{tostring(root, encoding='unicode')}\n"


def xml_text(text: str) -> str:
    """A text without the characters that XML does not allow."""
    return _NOT_XML.sub("\ufffd", text)


def _is_found(minimum: Mapping[str, float]) -> str:
    """The expression that is true of objects that reach their class's minimum, or have no score."""
    quoted = {xml_text(name).replace("\\", r"\\").replace("'", "''"): score for name, score in minimum.items()}
    of_class = " ".join(f"WHEN \"class\" = '{name}' THEN {score:.6g}" for name, score in quoted.items())
    return f'coalesce(to_real("score") >= CASE {of_class} ELSE 0 END, true)'


def _add_symbol(symbols: Element, name: str, colour: tuple[int, int, int]) -> None:
    """An outline with a dark casing, to be visible on roofs and on water, and a light fill."""
    symbol = SubElement(symbols, "symbol", type="fill", name=name, alpha="1")
    opacity = f'coalesce(scale_linear(to_real("score"), 0, 1, {FAINTEST}, 100), 100)'  # CSV has only text
    expression = {"active": True, "expression": opacity, "type": 3}  # 3: QgsProperty's ExpressionBasedProperty
    properties = SubElement(symbol, "data_defined_properties")
    add_option(properties, "", {"properties": {"alpha": expression}, "type": "collection"})
    casing = {"line_color": rgba(PANEL, 200), "line_width": str(_CASING_MM), "line_width_unit": "MM"}
    line = {"outline_color": rgba(colour, 255), "outline_width": str(_LINE_MM), "outline_width_unit": "MM"}
    tint = {"color": rgba(colour, 30), "style": "solid", "outline_style": "solid", "joinstyle": "miter"}
    for kind, options in (("SimpleLine", casing | {"joinstyle": "miter"}), ("SimpleFill", line | tint)):
        add_option(SubElement(symbol, "layer", {"class": kind, "enabled": "1"}), "", options)


def add_labels(root: Element, expression: str, nested: bool = False) -> None:
    """Adds labels at large scales only, beside the polygons.

    Args:
        root: the style.
        expression: their text in QGIS's expression language; NULL: no label.
        nested: whether polygons lie inside others: labels are then at a corner, over other polygons, too.
    """
    settings = SubElement(SubElement(root, "labeling", type="simple"), "settings")
    text = SubElement(
        settings,
        "text-style",
        fieldName=expression,
        isExpression="1",
        fontSize=str(_TEXT_PT),
        fontSizeUnit="Point",
        fontWeight="50",  # QFont::Normal; the default would be the thinnest
        textColor=rgba(PANEL, 255),
    )
    SubElement(text, "text-buffer", bufferDraw="1", bufferSize="0.7", bufferSizeUnits="MM", bufferColor="255,255,255")
    SubElement(settings, "placement", _AT_CORNER if nested else _BESIDE)
    scales = {"scaleVisibility": "1", "scaleMin": "1", "scaleMax": str(LABEL_SCALE)}
    SubElement(settings, "rendering", {"drawLabels": "1", "obstacle": str(int(not nested)), **scales})


def add_option(parent: Element, name: str, value: Any) -> None:
    """Adds a value as Qt's QVariant in XML, maps recursively."""
    kind = {dict: "Map", bool: "bool", int: "int", str: "QString"}[type(value)]
    option = SubElement(parent, "Option", {"type": kind} | ({"name": name} if name else {}))
    if isinstance(value, dict):
        for key, inner in value.items():
            add_option(option, key, inner)
    else:
        option.set("value", str(value).lower() if isinstance(value, bool) else str(value))


def rgba(colour: tuple[int, int, int], alpha: int) -> str:
    """A colour as QML has it; all values 0 to 255."""
    return ",".join(map(str, (*colour, alpha)))


def _keep_inside(style: str, target: FileTarget) -> None:
    """Writes a style into a GeoPackage, in the table that QGIS creates when it saves a style in the database."""
    row = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": target.layer,
        "f_geometry_column": pyogrio.read_info(target.path)["geometry_name"],
        "styleName": target.name,
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
