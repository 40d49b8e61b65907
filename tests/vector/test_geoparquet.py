"""GeoParquet as DuckDB, which knows nothing of geopandas or GDAL, and geopandas read it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely

from lcageo.detections import Detections
from lcageo.scene.georef import Georeference
from lcageo.vector.features import feature_parts, features
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

CLASSES = ("ship", "storage tank")
PLACE = Georeference(pyproj.CRS(32633), rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000))
RECORD = {"model": "test", "bands": [3, 2, 1]}


def found(count: int) -> Detections:
    rng = np.random.default_rng(count)
    corners, sizes = rng.uniform(0, 900, (count, 2)), rng.uniform(4, 40, (count, 2))
    scores = rng.uniform(0.1, 1, count).astype(np.float32)
    return Detections(np.hstack([corners, corners + sizes]), scores, rng.integers(0, 2, count))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A layer of 250 objects in three parts."""
    objects = found(250)
    parts = [objects.selected(slice(start, start + 100)) for start in (0, 100, 200)]
    write_layer(
        feature_parts(parts, CLASSES, PLACE.to_map, PLACE.crs, "scene-ü"),
        RunRecord.from_json(RECORD),
        FileTarget.of(tmp_path / "found.parquet"),
    )
    return tmp_path / "found.parquet"


def test_duckdb_reads_columns_and_wkb(path: Path) -> None:
    with duckdb.connect() as base:
        # Without its spatial extension DuckDB gives the geometry as bytes, which is what GeoParquet stores.
        base.execute("SET enable_geoparquet_conversion = false")
        rows = base.execute(f"SELECT id, class, score, area_m2, geometry FROM '{path}' ORDER BY id").fetchall()
        counts = dict(base.execute(f"SELECT class, count(*) FROM '{path}' GROUP BY class").fetchall())
    objects = found(250)
    assert [row[0] for row in rows] == list(range(1, 251))
    assert [row[1] for row in rows] == [CLASSES[label] for label in objects.labels]
    assert [row[2] for row in rows] == pytest.approx(objects.scores.tolist(), abs=1e-4)
    sizes = objects.boxes_xyxy[:, 2:] - objects.boxes_xyxy[:, :2]
    assert [row[3] for row in rows] == pytest.approx((sizes.prod(axis=1) / 4).tolist(), rel=2e-3)
    x1, y1, x2, y2 = objects.boxes_xyxy.T / 2
    by_hand = np.column_stack([500_000 + x1, 5_000_000 - y2, 500_000 + x2, 5_000_000 - y1])
    assert shapely.bounds(shapely.from_wkb([bytes(row[4]) for row in rows])) == pytest.approx(by_hand)
    assert counts == {name: int((objects.labels == label).sum()) for label, name in enumerate(CLASSES)}


def test_duckdb_reads_the_metadata(path: Path) -> None:
    with duckdb.connect() as base:
        pairs = base.execute(f"SELECT key, value FROM parquet_kv_metadata('{path}')").fetchall()
    about = {bytes(key).decode(): json.loads(value) for key, value in pairs if bytes(key) in (b"geo", b"lcageo")}
    assert about["lcageo"] == RECORD
    column = about["geo"]["columns"][about["geo"]["primary_column"]]
    assert column["encoding"] == "WKB" and column["geometry_types"] == ["Polygon"]
    assert pyproj.CRS.from_json_dict(column["crs"]) == pyproj.CRS(32633)


def test_geopandas_reads_the_same(path: Path) -> None:
    read = geopandas.read_parquet(path)
    expected = features(found(250), CLASSES, PLACE.to_map, PLACE.crs, "scene-ü")
    assert read.crs == "EPSG:32633" and (read.geometry.to_numpy() == expected.geometry.to_numpy()).all()
    assert read.drop(columns="geometry").equals(expected.drop(columns="geometry"))
    window = expected.geometry.iloc[0].bounds
    some = geopandas.read_parquet(path, columns=["id", "geometry"])
    assert some.cx[window[0] : window[2], window[1] : window[3]]["id"].tolist()[0] == 1
