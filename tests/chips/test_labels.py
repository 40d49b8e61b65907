"""Labels that people drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from support.domains import add_domain
from support.labelled_scenes import CRS, PIXELS, TYPES, make, on_map, write_labels

from lcageo.chips.labels import read_labels
from lcageo.errors import DataError, UsageError


def test_labels_that_cannot_be_used_are_refused_with_a_remedy(place: Path, tmp_path: Path) -> None:
    box, scene = on_map(PIXELS[0]), place / "scene.tif"
    far = shapely.box(0, 0, 1, 1)
    cases: list[tuple[Path, dict[str, Any], type[Exception], str]] = [
        (write_labels(tmp_path / "pixels.parquet", [box], None), {"class_name": "a"}, DataError, "has no CRS"),
        (write_labels(tmp_path / "far.gpkg", [far], "EPSG:4326"), {"class_name": "a"}, DataError, "lies on a scene"),
        (write_labels(tmp_path / "bare.gpkg", [box], sort=["x"]), {}, DataError, "has no attribute class, .* has sort"),
        (tmp_path / "bare.gpkg", {"class_field": "kind"}, DataError, "has no attribute 'kind'"),
        (
            write_labels(tmp_path / "gap.gpkg", [box, box], type=["a", None]),
            {"class_field": "type"}, DataError, r"1 of 2 features have no class in 'type' \(the first is feature 2\)",
        ),
        (
            write_labels(tmp_path / "line.gpkg", [shapely.LineString([(0, 0), (1, 1)])]),
            {"class_name": "a"}, DataError, "1 lines .* labels must be polygons or points",
        ),
        (write_labels(tmp_path / "point.gpkg", [box.centroid]), {"class_name": "a"}, UsageError, "1 points; give the"),
        (tmp_path / "bare.gpkg", {"class_name": "a", "point_size_m": 2.0}, UsageError, "holds no points; leave out"),
        (tmp_path / "bare.gpkg", {"class_name": "a", "val": 0.2}, UsageError, "all labels are in one block"),
        (tmp_path / "none.gpkg", {"class_name": "a"}, DataError, "does not exist"),
    ]  # fmt: skip
    empty = geopandas.GeoDataFrame({"a": []}, geometry=[], crs=CRS)
    empty.to_file(tmp_path / "empty.gpkg")
    cases.append((tmp_path / "empty.gpkg", {"class_name": "a"}, DataError, "has no polygons or points to learn from"))
    for path, config, kind, words in cases:
        with pytest.raises(kind, match=words):
            make(tmp_path / "chips", [scene], path, **config)
    assert not (tmp_path / "chips" / "train.json").exists()


def test_labels_that_were_dissolved_by_class_are_the_objects_that_they_were(place: Path, tmp_path: Path) -> None:
    shapes = [on_map(box) for box in PIXELS]
    write_labels(tmp_path / "single.gpkg", shapes, type=TYPES)
    frame = geopandas.read_file(tmp_path / "single.gpkg").dissolve("type").reset_index()
    frame.to_file(tmp_path / "dissolved.gpkg")
    messages: list[str] = []
    summaries = [
        make(tmp_path / name, [place / "scene.tif"], tmp_path / f"{name}.gpkg", messages.append, class_field="type")
        for name in ("single", "dissolved")
    ]
    assert summaries[0].labels == summaries[1].labels == {"train": {"car": 3, "ship": 3}, "val": {"car": 0, "ship": 0}}
    assert len([line for line in messages if "2 features with parts that lie apart" in line]) == len(messages) == 1


def test_codes_are_called_what_the_layer_calls_them(place: Path, tmp_path: Path) -> None:
    """As a field with a domain of coded values has them, of Esri's or QGIS's."""
    kinds = np.array([0, 1], np.int32)
    path = write_labels(tmp_path / "coded.gpkg", [on_map(PIXELS[0]), on_map(PIXELS[1])], kind=kinds)
    assert read_labels(add_domain(path, "kind", {0: "car", 1: "lorry"}), "kind", None).classes == ("car", "lorry")
