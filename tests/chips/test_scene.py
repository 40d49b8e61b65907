"""Chips of one scene: boxes, pixels, what may be shown."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
import shapely.affinity
from PIL import Image
from rasterio.transform import rowcol, xy
from rasterio.windows import Window
from support.labelled_scenes import CRS, FILL, PIXELS, TURNED, TYPES, coco, make, on_map, write_labels
from support.layers import LOCAL_WKT
from support.scenes import UTM, damaged_scene, noise, write_scene

from lcageo.chips.config import ChipConfig
from lcageo.chips.labels import read_labels
from lcageo.chips.scene import place_scene
from lcageo.errors import DataError
from lcageo.geodesy import WGS84
from lcageo.scene import prefetch
from lcageo.scene.raster import open_scene


@pytest.mark.parametrize("gsd", [None, 1.0])
@pytest.mark.parametrize("transform", [UTM, TURNED], ids=["north up", "turned"])
def test_boxes_are_where_rasterio_and_shapely_put_the_labels(
    tmp_path: Path, transform: rasterio.Affine, gsd: float | None
) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(400, 400), transform=transform)
    shapes = [on_map(box, transform) for box in PIXELS]
    labels = write_labels(tmp_path / "labels.fgb", shapes, to="EPSG:25832", type=TYPES)
    make(tmp_path / "chips", [scene], labels, class_field="TYPE", gsd_m=gsd)
    moved = geopandas.read_file(labels).to_crs(CRS)
    boxed = 0
    for image, records in coco(tmp_path / "chips" / "train.json"):
        x1, y1, x2, _ = image["scene_xyxy"]
        side, scale = shapely.box(0, 0, 128, 128), (x2 - x1) / 128
        assert scale == pytest.approx(1.0 if gsd is None else 2.0, rel=2e-3)
        expected = []
        for name, shape in zip(moved["type"], moved.geometry, strict=True):
            rows, columns = rowcol(transform, *shape.exterior.coords.xy, op=np.positive)
            corners = (np.column_stack([columns, rows]) - [x1, y1]) / scale
            box = shapely.box(*shapely.Polygon(corners).bounds)
            seen = box.intersection(side)
            if seen.area > 0:
                expected.append((("car", "ship").index(name) + 1, seen.area / box.area < 0.4, seen.bounds))
        found = [
            (one["category_id"], bool(one["iscrowd"]), (x, y, x + width, y + height))
            for one in records
            for x, y, width, height in [one["bbox"]]
        ]
        assert [one[:2] for one in sorted(found)] == [one[:2] for one in sorted(expected)]
        for (*_, box), (*_, other) in zip(sorted(found), sorted(expected), strict=True):
            assert np.abs(np.subtract(box, other)).max() < 0.02
        boxed += sum(not ignored for _, ignored, _ in expected)
    assert boxed >= len(PIXELS) - 1


def test_a_chip_read_back_by_pillow_has_the_pixels_that_rasterio_reads(place: Path, tmp_path: Path) -> None:
    make(tmp_path / "chips", [place / "scene.tif"], place / "labels.gpkg", class_field="type")
    images = coco(tmp_path / "chips" / "train.json")
    assert len(images) >= 5
    with rasterio.open(place / "scene.tif") as dataset:
        for image, _ in images:
            x1, y1, x2, y2 = image["scene_xyxy"]
            pixels = dataset.read(window=Window(x1, y1, x2 - x1, y2 - y1))
            read = np.asarray(Image.open(tmp_path / "chips" / "images" / image["file_name"]))
            assert (np.moveaxis(read, -1, 0) == pixels).all() and image["gsd_m"] == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326", CRS])
def test_points_get_boxes_of_a_length_on_the_ground(tmp_path: Path, crs: str) -> None:
    longitude, latitude = 12.5, 52.0
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    step = 5e-6 if crs == "EPSG:4326" else 0.5
    transform = rasterio.Affine(step, 0, x - 64 * step, 0, -step, y + 64 * step)
    scene = write_scene(tmp_path / "a.tif", noise(128, 128), crs=crs, transform=transform)
    points = [shapely.MultiPoint([(longitude, latitude)])]
    labels = write_labels(tmp_path / "points.gpkg", points, "EPSG:4326")
    make(tmp_path / "chips", [scene], labels, class_name="tree", point_size_m=12.0, size=256)
    ((_, (annotation,)),) = coco(tmp_path / "chips" / "train.json")
    left, top, width, height = annotation["bbox"]
    if crs == "EPSG:4326":  # the chip is square on the ground: rows are enlarged
        assert width == pytest.approx(height, rel=1e-3)
        across, down = (
            pyproj.Geod(ellps="WGS84").inv(x, y, x + step * east, y + step * north)[2]
            for east, north in ((1, 0), (0, 1))
        )
        top, height = top * across / down, height * across / down
    assert (left + width / 2, top + height / 2) == pytest.approx((64, 64), abs=0.01)
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    (west, east), (north, south) = xy(transform, [top, top + height], [left, left + width], offset="ul")
    corners = np.array([to_degrees.transform(*corner) for corner in ((west, north), (east, north), (west, south))])
    for end in (1, 2):
        _, _, metres = pyproj.Geod(ellps="WGS84").inv(*corners[0], *corners[end])
        assert metres == pytest.approx(12.0, rel=2e-3)


def test_only_the_labelled_area_is_shown(place: Path, tmp_path: Path) -> None:
    area = on_map((0, 0, 200, 200))
    geopandas.GeoDataFrame(geometry=[area], crs=CRS).to_crs(WGS84).to_file(tmp_path / "aoi.gpkg")
    summary = make(
        tmp_path / "chips", [place / "scene.tif"], place / "labels.gpkg", class_field="type", aoi=tmp_path / "aoi.gpkg"
    )
    assert summary.labels["train"] == {"car": 1, "ship": 1}
    for image, _ in coco(tmp_path / "chips" / "train.json"):
        x1, y1, *_ = image["scene_xyxy"]
        read = np.asarray(Image.open(tmp_path / "chips" / "images" / image["file_name"]))
        blank = (read == FILL).all(axis=-1)
        y, x = np.mgrid[0:128, 0:128] + np.array([y1, x1])[:, None, None]
        assert (blank == ~((x < 200) & (y < 200))).mean() > 0.999  # noise may have the colour


def test_tiles_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    scene = damaged_scene(tmp_path / "a.tif", [9])
    labels = write_labels(tmp_path / "labels.gpkg", [on_map((70, 70, 90, 90)), on_map((400, 400, 420, 420))])
    summary = make(tmp_path / "chips", [scene], labels, class_name="a", overlap="0")
    assert len(summary.unreadable) == 1 and "cannot be read at column" in summary.unreadable[0]
    assert summary.labels["train"] == {"a": 1}


@pytest.mark.parametrize("gsd", [None, 1.0])
def test_chips_are_square_on_the_ground(tmp_path: Path, gsd: float | None) -> None:
    """Every other row is missing: labels of squares are squares in the chips nevertheless."""
    tall = UTM @ rasterio.Affine.scale(1, 2)
    scene = write_scene(tmp_path / "a.tif", noise(200, 400), transform=tall)
    shapes = [on_map(box) for box in ((20, 20, 60, 60), (200, 100, 240, 140), (300, 300, 340, 340))]
    labels = write_labels(tmp_path / "labels.gpkg", shapes)
    summary = make(tmp_path / "chips", [scene], labels, class_name="a", gsd_m=gsd, overlap="50%")
    assert summary.gsd_m == pytest.approx((gsd or 0.5,) * 2, rel=1e-3)
    side = 20 / (gsd or 0.5)
    boxes = [one["bbox"] for _, annotations in coco(tmp_path / "chips" / "train.json") for one in annotations]
    whole = [(w, h) for x, y, w, h in boxes if min(x, y) > 1 and max(x + w, y + h) < 127]
    assert whole and np.abs(np.array(whole) - side).max() < 0.05


def test_a_label_that_a_chip_cuts_to_a_sliver_is_not_in_it(tmp_path: Path) -> None:
    """128 is the first chip's edge: what shows of the first and the third label there rounds to no width."""
    scene = write_scene(tmp_path / "a.tif", noise(256, 256))
    boxes = [(127.9997, 40, 150, 60), (127.4, 80, 150, 99), (90, 100, 128.0002, 120), (20, 20, 30, 40)]
    labels = write_labels(tmp_path / "labels.gpkg", [on_map(box) for box in boxes])
    make(tmp_path / "chips", [scene], labels, class_name="a", overlap="0", val=0.0)
    shown = {tuple(image["scene_xyxy"][:2]): records for image, records in coco(tmp_path / "chips" / "train.json")}
    sides = {place: sorted(one["bbox"][2] for one in records) for place, records in shown.items()}
    assert sides[0, 0] == pytest.approx([0.6, 10, 38], abs=0.01) and sides[128, 0] == pytest.approx([22, 22], abs=0.01)


AMONG = [(20, 20, 40, 40), (180, 100, 220, 140), (300, 300, 330, 340)]
"""Boxes of pixels west of, on and east of the middle of a scene of 400 pixels."""


def at_the_antimeridian(crs: str) -> rasterio.Affine:
    """The transform of a scene of 400 x 400 pixels of half a metre with the antimeridian in its middle."""
    if crs == "EPSG:4326":
        return rasterio.Affine(5e-6, 0, 180 - 200 * 5e-6, 0, -5e-6, -17)
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(180, -17)
    return rasterio.Affine(0.5, 0, abs(x) - 100, 0, -0.5, y)


def in_form(shape: shapely.Polygon, form: str) -> shapely.Geometry:
    """A polygon of longitudes around 180 as programs write it."""
    if form == "cut":  # GeoJSON
        west, east = shapely.box(0, -90, 180, 90), shapely.box(180, -90, 360, 90)
        parts = [shape.intersection(west), shapely.affinity.translate(shape.intersection(east), -360)]
        return shapely.union_all(parts)
    return shapely.affinity.translate(shape, 0 if form == "east" else -360)


@pytest.mark.parametrize("form", ["cut", "east", "west"])
@pytest.mark.parametrize("crs", ["EPSG:32660", "EPSG:4326", "EPSG:3857"])
def test_labels_across_the_antimeridian_are_all_on_the_scene(tmp_path: Path, crs: str, form: str) -> None:
    transform = at_the_antimeridian(crs)
    scene = write_scene(tmp_path / "a.tif", noise(400, 400), crs, transform)
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    shapes = []
    for box in AMONG:
        corners = np.array(on_map(box, transform).exterior.coords)
        longitudes, latitudes = to_degrees.transform(*corners.T) if crs != "EPSG:4326" else corners.T
        shapes.append(in_form(shapely.Polygon(np.column_stack([np.mod(longitudes, 360), latitudes])), form))
    labels = write_labels(tmp_path / "labels.gpkg", shapes, "EPSG:4326")
    with open_scene(scene) as opened:
        placed = place_scene(opened, read_labels(labels, None, "a"), ChipConfig())
    assert placed.index.tolist() == [0, 1, 2]
    assert placed.boxes_xyxy == pytest.approx(np.array(AMONG, np.float64), abs=0.1)
    lines: list[str] = []
    made = make(tmp_path / "chips", [scene], labels, lines.append, class_name="a", val=0.3, block_m=60.0)
    assert made.labels["train"]["a"] + made.labels["val"]["a"] >= 3 and not [line for line in lines if "scenes" in line]


def test_labels_in_degrees_around_a_pole_are_on_the_scene(tmp_path: Path) -> None:
    transform = rasterio.Affine(0.5, 0, -100, 0, -0.5, 100)
    scene = write_scene(tmp_path / "a.tif", noise(400, 400), "EPSG:3413", transform)
    shapes = [on_map(box, transform) for box in ((20, 20, 40, 40), (205, 205, 225, 235), (300, 150, 330, 190))]
    labels = write_labels(tmp_path / "labels.gpkg", shapes, "EPSG:3413", "EPSG:4326")
    with open_scene(scene) as opened:
        placed = place_scene(opened, read_labels(labels, None, "a"), ChipConfig())
    assert placed.index.tolist() == [0, 1, 2]
    assert placed.boxes_xyxy[1] == pytest.approx([205, 205, 225, 235], abs=0.5)


def test_labels_in_a_local_grid_are_refused_with_a_remedy(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(400, 400))
    labels = write_labels(tmp_path / "labels.gpkg", [on_map(PIXELS[0])], LOCAL_WKT)
    with pytest.raises(DataError, match=r"--labels '.*' is in 'site grid', from which no transformation leads to 'WGS"):
        make(tmp_path / "chips", [scene], labels, class_name="a")


def test_labels_on_none_of_the_scenes_are_counted(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(400, 400))
    labels = write_labels(tmp_path / "labels.gpkg", [on_map(PIXELS[0]), on_map(PIXELS[1]), on_map((900, 0, 920, 20))])
    lines: list[str] = []
    make(tmp_path / "chips", [scene], labels, lines.append, class_name="a")
    assert len([line for line in lines if "1 of 3 labels" in line and "on none of the scenes" in line]) == 1
