"""The form and the style of a review layer, as QGIS reads them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import shapely
from support.layers import RECORD
from support.readers import qgis_reads_review

from lcageo.inference.review_form import review_qml
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

CLASSES = ("ship", "storage <tank> & 'more'")


def write_review(path: Path) -> Path:
    """A tile, and an object of each verdict."""
    shapes = [shapely.box(0, 0, 100, 100), *(shapely.box(x, x, x + 10, x + 10) for x in range(5, 85, 20))]
    columns = {
        "id": np.arange(1, 6),
        "kind": ["tile", *["object"] * 4],
        "class": pd.Series([None, *["ship"] * 4], dtype="str"),
        "score": [np.nan, 0.5, 0.4, 0.3, 0.2],
        "verdict": pd.Series([None, None, "right", "wrong", "other class"], dtype="str"),
        "new_class": pd.Series([None, None, None, None, CLASSES[1]], dtype="str"),
    }
    layer = geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32633")
    write_layer([layer], RunRecord.from_json(RECORD), FileTarget.of(path), review_qml(CLASSES))
    return path


def test_qgis_opens_a_review_with_its_form_and_style(tmp_path: Path) -> None:
    paths = [write_review(tmp_path / f"review{suffix}") for suffix in (".gpkg", ".geojson")]
    for path, found in qgis_reads_review([str(path) for path in paths], tmp_path).items():
        assert found["verdict"] == {
            "widget": "ValueMap", "alias": "This object is", "default": "'right'", "editable": True,
            "values": ["right", "wrong", "other class"],
        }  # fmt: skip
        assert found["new_class"]["values"] == list(CLASSES) and found["new_class"]["editable"]
        assert found["form"][:3] == ["verdict", "new_class", "id"] and not found["id"]["editable"]
        assert found["class"]["editable"] and found["kind"]["default"] == "'object'"
        assert found["symbols"] == ["tile", "undecided", "right", "wrong", "other class"]
        assert found["labels"] == ["ship 0.30", "ship 0.40", "ship 0.50", f"{CLASSES[1]} 0.20"], path


def test_any_class_name_gives_valid_xml() -> None:
    assert ElementTree.fromstring(review_qml(["a\0b", "]]>", "<a/>"])) is not None
