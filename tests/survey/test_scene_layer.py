"""Layers of scenes as their survey reads them back, in the CRS that most of them share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.scene.georef import Georeference
from lcageo.survey.scene_layer import CARRIED, SceneLayer, common_crs, middle_x, read_objects, shapes_in_crs
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

NORTH_UP = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
SIZE = (200, 100)
BOXES = np.array([[10.0, 10.0, 30.0, 20.0], [150.0, 80.0, 170.0, 99.0], [0.0, 0.0, 8.0, 8.0]])


def layer(folder: Path, suffix: str = ".gpkg", crs: int = 32631, affine: rasterio.Affine = NORTH_UP) -> SceneLayer:
    """A scene with a layer of BOXES, of classes 0, 1 and 0."""
    path = folder / f"{crs}{suffix}"
    found = Detections(BOXES, np.array([0.9, 0.5, 0.7], np.float32), np.array([0, 1, 0]))
    place = Georeference(pyproj.CRS(crs), affine)
    write_layer([features(found, ("ship", "car"), place.to_map, place.crs, "a")], RunRecord(), FileTarget.of(path))
    corners = tuple(affine @ corner for corner in ((0, 0), (SIZE[0], 0), SIZE, (0, SIZE[1])))
    return SceneLayer("a", path, pyproj.CRS(crs), 0.5, corners, SIZE, len(BOXES))


def test_most_scenes_choose_the_crs_and_of_equally_many_the_first(tmp_path: Path) -> None:
    scenes = [layer(tmp_path, crs=crs) for crs in (32632, 32631)]
    assert common_crs(scenes) == "EPSG:32632" and common_crs([*scenes, scenes[1]]) == "EPSG:32631"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((32631, 32631, 32632), 32631),  # neighbouring zones
        ((32631, 32631, 32636), None),  # far apart
        ((32660, 32660, 32601), 32660),  # across the antimeridian
        ((3857, 32631, 3857), 3857),  # made for all of the globe
    ],
)
def test_scenes_far_apart_are_joined_in_longitude_and_latitude(
    tmp_path: Path, codes: tuple[int, ...], expected: int | None
) -> None:
    layers = []
    for number, code in enumerate(codes):
        x, y = (0.0, 5_000_000.0) if code == 3857 else (500_000.0, 5_000_000.0)
        corners = ((x, y), (x + 9, y), (x + 9, y - 9), (x, y - 9))
        layers.append(SceneLayer(str(number), tmp_path, pyproj.CRS(code), 0.5, corners, (18, 18), 0))
    assert common_crs(layers) == pyproj.CRS("OGC:CRS84" if expected is None else expected)


def from_raster(crs: str) -> pyproj.CRS:
    """A CRS as a scene has it: from the WKT that GDAL gives."""
    return pyproj.CRS.from_wkt(rasterio.CRS.from_user_input(crs).to_wkt())


def scenes_at(folder: Path, places: Sequence[tuple[str, float, float]]) -> list[SceneLayer]:
    """Scenes with their centres at longitudes and latitudes, each in a CRS that comes from a raster."""
    layers = []
    for number, (crs, longitude, latitude) in enumerate(places):
        x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
        corners = ((x - 9, y + 9), (x + 9, y + 9), (x + 9, y - 9), (x - 9, y - 9))
        layers.append(SceneLayer(str(number), folder, from_raster(crs), 0.5, corners, (36, 36), 0))
    return layers


OWN = "+proj=tmerc +lon_0=13 +k=1 +x_0=500000 +ellps=GRS80 +units=m"
"""A CRS of somebody's own, which no register gives an area of use."""


@pytest.mark.parametrize(
    ("places", "joined"),
    [
        ([("EPSG:32633", 15, 46), ("EPSG:28992", 5, 52), ("EPSG:26713", -105, 40)], False),
        ([("EPSG:32633", 15, 46), ("EPSG:32633", 16, 46), ("EPSG:26713", -105, 40)], False),
        ([("EPSG:32633+5773", 15, 46), ("EPSG:32633+5773", 16, 46), ("EPSG:32613", -105, 40)], False),
        ([("EPSG:32633", 15, 46), ("EPSG:32633", 16, 46), ("EPSG:32632", 9, 46)], True),
        ([("EPSG:32633", 15, 46), ("EPSG:32633", 16, 46), ("EPSG:32733", 15, -46)], False),
        ([("EPSG:3460", 179, -17), ("EPSG:3460", -179.5, -17), ("EPSG:32701", -179, -17)], True),
        ([(OWN, 13, 46), (OWN, 14, 46), ("EPSG:32632", 9, 46)], True),
        ([(OWN, 13, 46), (OWN, 14, 46), ("EPSG:26713", -105, 40)], False),
    ],
)  # fmt: skip
def test_the_common_crs_of_rasters_covers_all_of_them(
    tmp_path: Path, places: list[tuple[str, float, float]], joined: bool
) -> None:
    layers = scenes_at(tmp_path, places)
    assert layers[0].crs.area_of_use is None, "a raster's CRS does not say where it is used"
    assert common_crs(layers) == (layers[0].crs if joined else pyproj.CRS("OGC:CRS84"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_objects_by_id_in_the_scenes_crs(tmp_path: Path, suffix: str) -> None:
    rows = read_objects(layer(tmp_path, suffix), 2)
    assert rows["id"].tolist() == [1, 2, 3] and rows["class_id"].tolist() == [0, 1, 0]
    assert list(rows.columns) == [*CARRIED, "geometry"]
    x1, y1, x2, y2 = BOXES.T
    expected = np.column_stack([500_000 + x1 / 2, 5_000_000 - y2 / 2, 500_000 + x2 / 2, 5_000_000 - y1 / 2])
    assert np.abs(shapely.bounds(rows.geometry.to_numpy()) - expected).max() < 0.02  # GeoJSON is rounded


def test_a_layer_with_unknown_classes_or_none_at_all_is_refused(tmp_path: Path) -> None:
    scene = layer(tmp_path)
    with pytest.raises(OutputError, match=r"layer .* of scene 'a' cannot be used: it has classes beyond the 1"):
        read_objects(scene, 1)
    scene.path.unlink()
    with pytest.raises(OutputError, match=r"of scene 'a' cannot be used: .*; use --force to make it again"):
        read_objects(scene, 2)


def test_the_middle_of_a_scene_is_that_of_its_raster(tmp_path: Path) -> None:
    scene = layer(tmp_path)
    assert middle_x(scene, scene.crs) == 500_050
    longitude, _ = pyproj.Transformer.from_crs(32631, 4326, always_xy=True).transform(500_050, 4_999_975)
    assert middle_x(scene, pyproj.CRS("OGC:CRS84")) == pytest.approx(longitude, abs=1e-9)


def test_shapes_come_within_half_a_turn_of_the_given_x(tmp_path: Path) -> None:
    scene, globe = layer(tmp_path), pyproj.CRS("OGC:CRS84")
    point = np.array([shapely.Point(-179.9, 10)])
    for at_x, expected in ((179.0, 180.1), (-170.0, -179.9), (0.0, -179.9)):
        moved = shapes_in_crs(point, scene, globe, globe, at_x)
        assert shapely.get_x(moved)[0] == pytest.approx(expected, abs=1e-9)
