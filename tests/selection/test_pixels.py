"""Map features back to pixels: against the affine transform itself, and what cannot be transformed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcageo.detections import Detections
from lcageo.errors import DataError
from lcageo.scene.georef import Georeference
from lcageo.selection.pixels import MapToPixels
from lcageo.vector.features import features
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

CRS = pyproj.CRS(32633)
SIZE = (400, 300)
BOXES = np.array([[0.0, 0.0, 12.0, 9.0], [100.25, 40.5, 130.75, 60.0], [380.0, 290.0, 400.0, 300.0]])
AFFINE = rasterio.Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)


def layer(path: Path, affine: rasterio.Affine = AFFINE, record: Mapping[str, Any] | None = None) -> Path:
    """A layer of boxes of a scene of SIZE, with ships and cars in turn."""
    found = Detections(BOXES, np.full(len(BOXES), 0.5, np.float32), np.arange(len(BOXES)) % 2)
    frame = features(found, ("ship", "car"), Georeference(CRS, affine).to_map, CRS, "scene")
    grid = {"size": list(SIZE), "crs": "EPSG:32633", "transform": list(affine)[:6], "classes": ["ship", "car"]}
    about = {"scene": "folder/scene.tif", "scene_grid": grid} if record is None else dict(record)
    write_layer([frame], RunRecord.from_json(about), FileTarget.of(path))
    return path


def in_pixels(path: Path) -> Detections:
    opened = open_layer(path, "")
    return Detections.joined(list(MapToPixels.of(opened).detections(opened.parts())))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(angle=st.floats(-180, 180), gsd=st.floats(0.1, 30), mirrored=st.booleans())
def test_boxes_in_any_rotated_raster_come_back(tmp_path: Path, angle: float, gsd: float, mirrored: bool) -> None:
    down = gsd if mirrored else -gsd
    affine = rasterio.Affine(1, 0, 500_000, 0, 1, 5_000_000) @ rasterio.Affine.rotation(angle)
    path = tmp_path / "found.gpkg"
    path.unlink(missing_ok=True)
    found = in_pixels(layer(path, affine @ rasterio.Affine.scale(gsd, down)))
    assert np.abs(found.boxes_xyxy - BOXES).max() < 1e-5 / gsd
    assert found.labels.tolist() == [0, 1, 0] and found.scores.tolist() == [0.5] * 3


def test_the_grid_is_that_of_the_scene(tmp_path: Path) -> None:
    back = MapToPixels.of(open_layer(layer(tmp_path / "found.gpkg"), ""))
    assert (back.grid.width, back.grid.height) == SIZE and back.classes == ("ship", "car")


def test_a_layer_in_another_crs_is_transformed(tmp_path: Path) -> None:
    found = in_pixels(layer(tmp_path / "found.geojson"))  # in longitude and latitude, rounded
    assert np.abs(found.boxes_xyxy - BOXES).max() < 0.05


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "is not a layer of a single scene"),
        ({"scene": "scene.tif"}, "does not record the affine transform of its scene"),
    ],
)
def test_a_layer_without_a_scene_or_transform_is_refused(tmp_path: Path, record: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"{message}.*; run 'lcageo detect' with this output instead"):
        MapToPixels.of(open_layer(layer(tmp_path / "found.gpkg", record=record), ""))


def test_features_that_do_not_belong_to_the_scene_are_refused(tmp_path: Path) -> None:
    opened = open_layer(layer(tmp_path / "found.gpkg"), "")
    back, (part,) = MapToPixels.of(opened), opened.parts()
    for edited, message in (
        (part.set_geometry(shapely.transform(part.geometry.to_numpy(), lambda xy: xy + 1e5), crs=part.crs),
         "has 3 objects outside its scene"),
        (part.set_geometry([None, *part.geometry[1:]], crs=part.crs), "1 object without a geometry"),
        (part.assign(**{"class": "boat"}), "of class 'boat', which its model does not have"),
        (part.drop(columns="score"), "no column 'score', which boxes in pixels require"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            list(back.detections(iter([edited])))
    assert list(back.detections(iter([part.iloc[:0]]))) == []
