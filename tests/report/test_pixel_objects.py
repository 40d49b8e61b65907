"""Objects that were written to a file come back at the pixels where they were detected."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint

from lcageo.detections import Detections
from lcageo.errors import DataError
from lcageo.palette import class_colour
from lcageo.report.pixel_objects import Frame, PlacedLayer, place_areas, place_layer
from lcageo.scene.georef import Georeference
from lcageo.vector import read as layer_reader
from lcageo.vector.features import feature_parts
from lcageo.vector.formats import FORMATS
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

SIDE = 1000
CLASSES = ("ship", "vehicle", "storage tank")
TURNED = rasterio.Affine.translation(5e5, 5e6) @ rasterio.Affine.rotation(30) @ rasterio.Affine.scale(0.3, -0.3)
PLACES = {
    "turned": Georeference(pyproj.CRS(32633), TURNED),
    "degrees": Georeference(pyproj.CRS(4326), rasterio.Affine(1e-5, 0, 11, 0, -1e-5, 48)),
    "across the antimeridian": Georeference(pyproj.CRS(4326), rasterio.Affine(1e-5, 0, 179.995, 0, -1e-5, 10)),
    "mercator beyond it": Georeference(pyproj.CRS(3857), rasterio.Affine(1, 0, 20_037_000, 0, -1, 1e6)),
    "control points": Georeference(
        pyproj.CRS(32633),
        gcps=tuple(
            GroundControlPoint(row, col, 5e5 + 2 * col, 5e6 - 2 * row) for row in (0, 1000) for col in (0, 1000)
        ),
    ),
    "pixels": Georeference(None),
}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_reader.LayerFile.parts, "__defaults__", (7, None))


def found(count: int = 40) -> Detections:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, SIDE - 60, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(4, 60, (count, 2))])
    return Detections(boxes, rng.permutation(count).astype(np.float32) / count, rng.integers(0, 3, count))


def write(path: Path, reference: Georeference, objects: Detections) -> Path:
    crs = reference.crs
    parts = feature_parts([objects], CLASSES, reference.to_map, crs, "scene")
    write_layer(parts, RunRecord.from_json({"crs": None if crs is None else crs.to_string()}), FileTarget.of(path))
    return path


def frame(reference: Georeference) -> Frame:
    return Frame(reference.crs, SIDE, SIDE, reference.to_pixel, reference.to_map)


def placed(path: Path, reference: Georeference, limit: int = 10_000) -> PlacedLayer:
    return place_layer(open_layer(path, ""), frame(reference), limit)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("place", PLACES)
def test_objects_come_back_to_their_pixels(place: str, suffix: str, tmp_path: Path) -> None:
    reference, objects = PLACES[place], found()
    layer = placed(write(tmp_path / f"a{suffix}", reference, objects), reference)
    assert layer.outside == layer.shapeless == 0
    order = np.argsort(-objects.scores)
    bounds = shapely.bounds(layer.objects.shapes)
    assert np.abs(bounds - objects.boxes_xyxy[order]).max() < 0.02
    assert shapely.area(layer.objects.shapes) == pytest.approx(shapely.area(shapely.box(*bounds.T)), rel=2e-2)
    assert layer.objects.ids.tolist() == (order + 1).tolist()
    assert layer.objects.names.tolist() == [CLASSES[label] for label in objects.labels[order]]
    assert layer.objects.scores == pytest.approx(objects.scores[order], abs=5e-5)
    assert np.isnan(layer.objects.areas_m2).all() == (place == "pixels")
    if suffix != ".csv":
        assert layer.colours() == {name: class_colour(label) for label, name in enumerate(CLASSES)}


def test_the_highest_scores_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    reference, objects = PLACES["turned"], found()
    layer = placed(write(tmp_path / "a.gpkg", reference, objects), reference, 10)
    assert layer.counts.total() == 40
    assert layer.objects.scores == pytest.approx(np.sort(objects.scores)[::-1][:10], abs=5e-5)


def test_features_outside_the_picture_or_without_area_are_counted(tmp_path: Path) -> None:
    shapes = [shapely.box(10, 10, 20, 20), shapely.box(2000, 0, 2010, 10), None, shapely.Point(5, 5)]
    rows = {"class": ["a", "b", "c", "d"], "score": [0.5, None, 0.1, 0.2]}
    geopandas.GeoDataFrame(rows, geometry=shapes, crs=32633).to_file(tmp_path / "own.gpkg")
    reference = Georeference(pyproj.CRS(32633), rasterio.Affine.translation(0, 0))
    layer = placed(tmp_path / "own.gpkg", reference)
    assert (len(layer.objects), layer.outside, layer.shapeless) == (1, 1, 2)
    assert dict(layer.counts) == {"a": 1}


def test_layers_of_other_origin_may_lack_columns(tmp_path: Path) -> None:
    shapes = [shapely.box(10, 10, 20, 20), shapely.box(50, 50, 80, 60)]
    geopandas.GeoDataFrame({"what": ["x", "y"]}, geometry=shapes, crs=32633).to_file(tmp_path / "own.gpkg")
    layer = placed(tmp_path / "own.gpkg", Georeference(pyproj.CRS(32633), rasterio.Affine.translation(0, 0)))
    assert layer.objects.ids.tolist() == [1, 2] and layer.objects.names.tolist() == ["", ""]
    assert np.isnan(layer.objects.scores).all() and layer.colours() == {"": class_colour(0)}


def test_an_object_without_a_score_comes_first(tmp_path: Path) -> None:
    shapes = [shapely.box(10, 10, 20, 20), shapely.box(50, 50, 80, 60)]
    geopandas.GeoDataFrame({"score": [0.9, None]}, geometry=shapes, crs=32633).to_file(tmp_path / "own.gpkg")
    layer = placed(tmp_path / "own.gpkg", Georeference(pyproj.CRS(32633), rasterio.Affine.translation(0, 0)), 1)
    assert layer.objects.ids.tolist() == [2]


def test_equal_labels_of_two_models_get_different_colours(tmp_path: Path) -> None:
    shapes = [shapely.box(10, 10, 20, 20), shapely.box(50, 50, 80, 60)]
    rows = {"class": ["b", "a"], "class_id": [0, 0]}
    geopandas.GeoDataFrame(rows, geometry=shapes, crs=32633).to_file(tmp_path / "own.gpkg")
    layer = placed(tmp_path / "own.gpkg", Georeference(pyproj.CRS(32633), rasterio.Affine.translation(0, 0)))
    assert layer.colours() == {"a": class_colour(0), "b": class_colour(1)}


def test_a_layer_of_another_scene_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", PLACES["turned"], found())
    with pytest.raises(DataError, match=r"none of the 40 features of .* is inside the scene"):
        placed(path, Georeference(pyproj.CRS(32633), rasterio.Affine.translation(7e5, 6e6)))
    with pytest.raises(DataError, match="the scene has no CRS, but the layer has one; give it with --crs"):
        placed(path, PLACES["pixels"])
    with pytest.raises(DataError, match="the layer has no CRS, but the scene has one"):
        placed(write(tmp_path / "pixels.gpkg", PLACES["pixels"], found()), PLACES["turned"])
    local = pyproj.CRS('LOCAL_CS["a building site",UNIT["metre",1]]')
    with pytest.raises(DataError, match=r"from WGS 84 / UTM zone 33N to the scene's a building site .*; check the CRS"):
        placed(path, Georeference(local, rasterio.Affine.translation(0, 0)))


def test_an_empty_layer_has_no_objects(tmp_path: Path) -> None:
    layer = placed(write(tmp_path / "a.geojson", PLACES["turned"], Detections.empty()), PLACES["turned"])
    assert len(layer.objects) == 0 and layer.colours() == {}


def test_areas_come_with_their_reasons(tmp_path: Path) -> None:
    shapes = [shapely.box(10, 10, 20, 20), shapely.box(50, 50, 80, 60)]
    geopandas.GeoDataFrame({"reason": ["torn", None]}, geometry=shapes, crs=32633).to_file(tmp_path / "own.gpkg")
    reference = Georeference(pyproj.CRS(32633), rasterio.Affine.scale(2, 2))
    areas, reasons = place_areas(open_layer(tmp_path / "own.gpkg", ""), frame(reference), "reason")
    assert shapely.bounds(areas).tolist() == [[5, 5, 10, 10], [25, 25, 40, 30]] and reasons == ["torn", ""]


def test_objects_that_were_dissolved_into_one_feature_are_shown_one_by_one(tmp_path: Path) -> None:
    reference = PLACES["turned"]
    boxes = np.array([[x, x, x + 20.0, x + 20.0] for x in range(0, 400, 50)])
    objects = Detections(boxes, np.full(8, 0.5, np.float32), np.zeros(8, np.int64))
    frame = geopandas.read_file(write(tmp_path / "a.gpkg", reference, objects), layer="a")
    frame.dissolve("class").reset_index().to_file(tmp_path / "dissolved.gpkg")
    frame = Frame(reference.crs, SIDE, SIDE, reference.to_pixel, reference.to_map)
    placed = place_layer(open_layer(tmp_path / "dissolved.gpkg", ""), frame, 100)
    assert placed.counts == {"ship": 8} and placed.apart == 1
    bounds = shapely.bounds(placed.objects.shapes)
    assert np.abs(bounds[np.argsort(bounds[:, 0])] - boxes).max() < 0.01
