"""Boxes in pixels from the command line: the same as those of the map layer, put back into pixels by rasterio."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from pycocotools.coco import COCO
from rasterio.transform import rowcol
from support.commands import Run
from support.scenes import UTM, noise, write_scene

from lcageo.data.formats.coco import read_coco
from lcageo.errors import DataError
from lcageo.selection.criteria import Criteria
from lcageo.selection.filter import filter_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget

PLACES: dict[str, tuple[str, rasterio.Affine]] = {
    "utm": ("EPSG:32633", UTM),
    "degrees": ("EPSG:4326", rasterio.Affine(5e-6, 0, 11, 0, -5e-6, 48)),
    "rotated": ("EPSG:32633", rasterio.Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)),
    "antimeridian": ("EPSG:4326", rasterio.Affine(5e-6, 0, 179.9992, 0, -5e-6, -17)),
}


@pytest.fixture(params=PLACES)
def outputs(request: pytest.FixtureRequest, tmp_path: Path, run: Run, untrained: Path) -> Path:
    """The folder of a scene and what was found in it, in several formats."""
    crs, transform = PLACES[request.param]
    scene = write_scene(tmp_path / "scene.tif", noise(300, 320), crs=crs, transform=transform)
    names = ("found.gpkg", "found.coco.json", "found.yolo.txt", "found.geojson")
    wanted = [part for name in names for part in ("-o", tmp_path / name)]
    outcome = run("detect", scene, "--model", untrained, "--score", 0.03, *wanted)
    assert outcome.code == 0 and outcome.out.split() == [str(tmp_path / name) for name in names], outcome.err
    return tmp_path


def boxes_in_pixels(layer: Path, scene: Path) -> np.ndarray:
    """(N, 4) of a layer in the scene's CRS, by rasterio."""
    with rasterio.open(scene) as dataset:
        transform, size = dataset.transform, [dataset.width, dataset.height] * 2
    boxes = []
    for shape in geopandas.read_file(layer).geometry:
        xs, ys = shapely.get_coordinates(shape).T
        rows, columns = rowcol(transform, xs, ys, op=np.positive)
        # The middle of a pixel is 0.0 to rasterio's rowcol where no rounding is asked for, but its corner to us.
        rows, columns = np.asarray(rows), np.asarray(columns)
        boxes.append((columns.min(), rows.min(), columns.max(), rows.max()))
    return np.clip(np.array(boxes), 0, size)


def coco_boxes(path: Path) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    corner_and_size = np.array([row["bbox"] for row in coco.loadAnns(coco.getAnnIds())])
    return np.hstack([corner_and_size[:, :2], corner_and_size[:, :2] + corner_and_size[:, 2:]])


def test_boxes_are_those_of_the_layer(outputs: Path) -> None:
    expected = boxes_in_pixels(outputs / "found.gpkg", outputs / "scene.tif")
    boxes = coco_boxes(outputs / "found.coco.json")
    assert len(expected) > 30 and np.abs(boxes - expected).max() < 2e-3
    layer = geopandas.read_file(outputs / "found.gpkg")
    content = json.loads((outputs / "found.coco.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert [names[row["category_id"]] for row in content["annotations"]] == layer["class"].tolist()
    assert [row["score"] for row in content["annotations"]] == pytest.approx(layer["score"].tolist(), abs=1e-4)
    yolo = np.loadtxt(outputs / "found.yolo.txt")
    size = np.array([320, 300] * 2)
    shares = np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]]) / size
    assert yolo[:, 0].tolist() == layer["class_id"].tolist() and np.abs(yolo[:, 1:5] - shares).max() < 1e-5
    assert (outputs / "found.yolo.names").read_text().splitlines() == list(names.values())


@pytest.mark.parametrize("source", ["found.gpkg", "found.geojson"])
def test_filter_brings_a_layer_back_into_pixels(source: str, outputs: Path) -> None:
    for name in ("again.coco.json", "again.yolo.txt"):
        filter_layer(outputs / source, outputs / name, Criteria())
    direct, again = (coco_boxes(outputs / f"{name}.coco.json") for name in ("found", "again"))
    assert np.abs(direct - again).max() < 0.01
    rows, expected = (np.loadtxt(outputs / f"{name}.yolo.txt") for name in ("again", "found"))
    assert np.abs(rows - expected).max() < 1e-4
    filter_layer(outputs / "found.gpkg", outputs / "moved.fgb", Criteria(), crs="EPSG:3857")
    filter_layer(outputs / "moved.fgb", outputs / "moved.coco.json", Criteria(top=5))
    best = coco_boxes(outputs / "moved.coco.json")
    distances = np.abs(best[:, None] - direct[None, :5]).max(axis=2)  # FlatGeobuf sorts features by place
    assert len(best) == 5 and distances.min(axis=1).max() < 0.01


def test_our_own_reader_takes_it_for_labels(outputs: Path) -> None:
    labelled = read_coco(outputs / "found.coco.json", outputs)
    (annotation,) = labelled.annotations
    assert not labelled.problems and len(annotation.boxes_xyxy) == len(coco_boxes(outputs / "found.coco.json"))


def test_layers_without_pixels_are_refused(tmp_path: Path, run: Run, untrained: Path) -> None:
    gcps = [rasterio.control.GroundControlPoint(row, col, 11 + col / 1e5, 48 - row / 1e5)
            for row, col in ((0, 0), (0, 200), (200, 0), (200, 200))]  # fmt: skip
    by_points = write_scene(
        tmp_path / "gcps.tif", noise(200, 200), crs=None, transform=None,
        tags={"gcps": (gcps, rasterio.CRS.from_epsg(4326))},
    )  # fmt: skip
    options = ("--model", untrained, "--score", 0.03)
    outcome = run("detect", by_points, *options, "-o", "gcps.gpkg", "-o", "gcps.coco.json")
    assert outcome.code == 0 and len(coco_boxes(tmp_path / "gcps.coco.json")) > 0, outcome.err
    outcome = run("filter", "gcps.gpkg", "again.coco.json")
    assert outcome.code == 1
    assert "does not record the affine transform" in outcome.err and "run 'lcageo detect'" in outcome.err

    geopandas.GeoDataFrame({"score": [1.0]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326).to_file("own.gpkg")
    assert "is not a layer of a single scene" in run("filter", "own.gpkg", "again.coco.json").err
    outcome = run("filter", "gcps.gpkg", "again.yolo.txt", "--to", "EPSG:3857")
    assert outcome.code == 2 and "is in pixels, which have no CRS" in outcome.err
    assert not list(tmp_path.glob("again*"))


def test_objects_that_a_user_changed_are_reported(tmp_path: Path, run: Run, untrained: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(200, 200))
    assert run("detect", scene, "--model", untrained, "--score", 0.03, "-o", "found.gpkg").code == 0
    for changes, message in (
        ({"class": "boat"}, "of class 'boat', which its model does not have"),
        ({"geometry": shapely.box(0, 0, 1, 1)}, "outside its scene"),
    ):
        (tmp_path / "edited.gpkg").write_bytes((tmp_path / "found.gpkg").read_bytes())
        rewrite(tmp_path / "edited.gpkg", changes)
        with pytest.raises(DataError, match=message):
            filter_layer(tmp_path / "edited.gpkg", tmp_path / "edited.coco.json", Criteria())


def rewrite(path: Path, changes: dict[str, Any]) -> None:
    """Changes columns of all objects, and keeps the record of the run."""
    from lcageo.vector.read import open_layer
    from lcageo.vector.write import write_layer

    record, rows = open_layer(path, "").record.as_json(), geopandas.read_file(path)
    path.unlink()
    for name, value in changes.items():
        rows[name] = value
    write_layer([rows], RunRecord.from_json(record), FileTarget.of(path))


def test_label_files_are_refused_for_holes_and_surveys(tmp_path: Path, run: Run, untrained: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(64, 64))
    outcome = run("detect", scene, "--model", untrained, "--holes", "holes.coco.json")
    assert outcome.code == 2 and "but a map layer is required" in outcome.err


def test_a_scene_without_a_crs_has_pixels_both_ways(tmp_path: Path, run: Run, untrained: Path) -> None:
    scene = write_scene(tmp_path / "plain.tif", noise(200, 200), crs=None, transform=None)
    wanted = ("-o", "plain.gpkg", "-o", "plain.COCO.JSON", "-o", "plain.geojson")
    assert run("detect", scene, "--model", untrained, "--score", 0.03, *wanted).code == 0
    for source in ("plain.gpkg", "plain.geojson"):
        assert run("filter", source, f"{source}.coco.json").code == 0
        assert (
            np.abs(coco_boxes(tmp_path / f"{source}.coco.json") - coco_boxes(tmp_path / "plain.COCO.json")).max() < 2e-3
        )
