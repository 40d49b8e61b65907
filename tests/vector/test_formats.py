"""Formats: a new one is one entry in FORMATS, and needs nothing else to be written and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from support.layers import CLASSES, RECORD, UTM33, layer_at

from lcageo.detections import Detections
from lcageo.vector.features import features
from lcageo.vector.formats import (
    COCO,
    FORMATS,
    STYLE_MARK,
    YOLO,
    LabelFormat,
    RecordPlace,
    VectorFormat,
    format_of,
    is_saved_style,
    sidecar,
)
from lcageo.vector.publish import Publication
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

NEW_FORMATS = {
    ".gml": VectorFormat("GML", companions=(".xsd",)),
    ".mif": VectorFormat("MapInfo File", companions=(".mid",)),
    ".sqlite": VectorFormat("SQLite"),
    ".geojsonl": VectorFormat("GeoJSONSeq", {"COORDINATE_PRECISION": "9"}, longitude_latitude=True),
}
"""Formats of GDAL that lcageo does not offer."""


@pytest.fixture(params=NEW_FORMATS)
def new_suffix(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The suffix of a format that exists only during the test."""
    suffix: str = request.param
    monkeypatch.setitem(FORMATS, suffix, NEW_FORMATS[suffix])  # type: ignore[arg-type]
    return suffix


def published(path: Path, *parts: geopandas.GeoDataFrame) -> FileTarget:
    target = FileTarget.of_layer(path)
    with Publication() as publication:
        write_layer(parts, RunRecord.from_json(RECORD), publication.draft_of(target))
        publication.publish()
    return target


def test_an_entry_is_all_that_a_new_format_needs(new_suffix: str, tmp_path: Path) -> None:
    layer = layer_at("utm")
    target = published(tmp_path / f"found{new_suffix}", layer.iloc[:2], layer.iloc[2:])
    in_degrees = target.vector_format.longitude_latitude
    file = open_layer(target.path, "")
    assert file.crs is not None and file.crs.to_epsg() == (4326 if in_degrees else 32633)
    assert file.record.as_json() == RECORD
    read, expected = file.read(), layer.to_crs(4326) if in_degrees else layer
    assert shapely.bounds(read.geometry.to_numpy()) == pytest.approx(expected.bounds.to_numpy(), abs=1e-8)
    for name in set(layer.columns) - {"geometry"}:
        assert read[name].tolist() == layer[name].tolist(), name
    assert target.style is not None and target.style.is_file()
    assert set(tmp_path.iterdir()) == {*target.files, target.style}


@pytest.mark.parametrize("suffix", [suffix for suffix, form in NEW_FORMATS.items() if not form.longitude_latitude])
def test_a_new_format_keeps_pixels_of_a_scene_without_crs(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, suffix, NEW_FORMATS[suffix])  # type: ignore[arg-type]
    boxes = Detections(np.array([[1.0, 2, 30, 40]]), np.array([0.5], np.float32), np.array([0]))
    layer = features(boxes, CLASSES, lambda xs, ys: (xs, ys), None, "scene")
    target = published(tmp_path / f"found{suffix}", layer)
    assert open_layer(target.path, "").read().total_bounds.tolist() == [1, 2, 30, 40]


def test_longitude_latitude_in_a_new_format_is_cut_at_the_antimeridian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, ".geojsonl", NEW_FORMATS[".geojsonl"])  # type: ignore[arg-type]
    target = published(tmp_path / "found.geojsonl", layer_at("antimeridian"))
    crossing = open_layer(target.path, "").read().geometry.iloc[0]
    assert sorted(round(part.bounds[0]) for part in crossing.geoms) == [-180, 180]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.gpkg", lambda: FORMATS[".gpkg"]),
        ("A.B.GeoJSON", lambda: FORMATS[".geojson"]),
        ("a.coco.json", lambda: COCO),
        ("a.COCO.JSON", lambda: COCO),
        ("a.yolo.txt", lambda: YOLO),
        ("a.json", lambda: None),
        ("gpkg", lambda: None),
    ],
)
def test_the_suffix_decides(name: str, expected: Callable[[], VectorFormat | LabelFormat | None]) -> None:
    assert format_of(Path(name)) is expected()


@pytest.mark.parametrize(
    ("suffix", "attributes", "renamed"),
    [
        (".gpkg", ["class", "fid", "Geom"], {"fid": "fid_1", "Geom": "Geom_1"}),
        (".gpkg", ["fid_1", "fid", "FID"], {"fid": "fid_2", "FID": "FID_3"}),
        (".gpkg", ["Type", "type", "type_1"], {"type": "type_2"}),
        (".shp", ["fid", "geom", "ogc_fid", "OGC_FID"], {"OGC_FID": "OGC_FID_1"}),
        (".csv", ["type", "TYPE"], {"TYPE": "TYPE_1"}),
        (
            ".csv",
            ["WKT", "Longitude", "latitude"],
            {"WKT": "WKT_1", "Longitude": "Longitude_1", "latitude": "latitude_1"},
        ),
        (".parquet", ["fid", "geom", "OGC_FID", "type", "TYPE"], {}),
    ],
)
def test_names_that_a_format_does_not_take_are_numbered(
    suffix: str, attributes: list[str], renamed: dict[str, str]
) -> None:
    assert FORMATS[suffix].renamed(attributes) == renamed


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_record_is_in_a_second_file_exactly_where_the_entry_says(suffix: str, tmp_path: Path) -> None:
    target = published(tmp_path / f"found{suffix}", layer_at("utm"))
    beside = sidecar(target.path)
    assert beside.name == f"found{suffix}.json"
    assert beside.is_file() == (FORMATS[suffix].record is RecordPlace.BESIDE) == (beside in target.files)
    record = open_layer(target.path, "").record
    assert record.as_json() == RECORD and UTM33.crs == pyproj.CRS(32633)


def test_only_a_style_without_our_mark_was_saved_by_a_user(tmp_path: Path) -> None:
    ours, saved, other = (tmp_path / name for name in ("ours.qml", "saved.qml", "other.txt"))
    ours.write_text(f"<!-- {STYLE_MARK} --><qgis/>", encoding="utf-8")
    saved.write_text("<qgis/>", encoding="utf-8")
    other.write_text("<qgis/>", encoding="utf-8")
    assert [is_saved_style(path) for path in (ours, saved, other, tmp_path / "none.qml")] == [False, True, False, False]
