"""Chips compared with rasterio, shapely, pyproj and pillow; the split by positions coded in the chips' pixels."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import rowcol, xy
from rasterio.windows import Window
from support.scenes import UTM, damaged_scene, noise, write_scene

from lcageo.chips.chips import make_chips
from lcageo.config import ChipConfig, EdgeNodata
from lcageo.data.augment import AugmentConfig
from lcageo.data.coco import read_coco
from lcageo.errors import ConfigError, DataError, SceneError, UsageError
from lcageo.geodesy import WGS84
from lcageo.scene import prefetch

CRS = "EPSG:32633"
FILL = AugmentConfig().fill
C, S = 0.5 * math.cos(0.35), 0.5 * math.sin(0.35)
TURNED = rasterio.Affine(C, S, UTM.c, S, -C, UTM.f)
PIXELS = [
    (20, 30, 44, 50),
    (100, 100, 140, 130),
    (250, 40, 280, 90),
    (300, 300, 330, 340),
    (60, 320, 75, 335),
    (300, 20, 320, 40),
]
TYPES = ["ship", "car", "ship", "car", "ship", "car"]


def on_map(box: tuple[float, ...], transform: rasterio.Affine = UTM) -> shapely.Polygon:
    """A box of pixels as a polygon of the map, by rasterio."""
    x1, y1, x2, y2 = box
    return shapely.Polygon(np.column_stack(xy(transform, [y1, y1, y2, y2], [x1, x2, x2, x1], offset="ul")))


def write_labels(path: Path, shapes: list[Any], crs: str | None = CRS, to: str | None = None, **columns: Any) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame = frame if to is None else frame.to_crs(to)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def make(folder: Path, scenes: list[Path], labels: Path, warn: Any = lambda line: None, **config: Any) -> Any:
    config = {"size": 128, "val": 0.0, "negatives": 0.0} | config
    return make_chips([str(path) for path in scenes], labels, folder, ChipConfig(**config), warn=warn)


def coco(path: Path) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The images of a COCO file with their annotations."""
    content = json.loads(path.read_text())
    return [
        (image, [one for one in content["annotations"] if one["image_id"] == image["id"]])
        for image in content["images"]
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of 400 x 400 pixels with six labels in longitude and latitude."""
    folder = tmp_path_factory.mktemp("place")
    write_scene(folder / "scene.tif", noise(400, 400))
    write_labels(folder / "labels.gpkg", [on_map(box) for box in PIXELS], to="EPSG:4326", type=TYPES)
    return folder


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


def test_training_reads_what_was_written(place: Path, tmp_path: Path) -> None:
    make(tmp_path / "chips", [place / "scene.tif"], place / "labels.gpkg", class_field="type")
    labelled = read_coco(tmp_path / "chips" / "train.json", strict=True)
    assert labelled.classes == ("car", "ship") and not labelled.problems
    assert sum(int((~one.difficult).sum()) for one in labelled.annotations) >= len(PIXELS)
    assert any(one.difficult.any() for one in labelled.annotations)


def coded(width: int, height: int, x0: int = 0, y0: int = 0) -> NDArray[np.uint8]:
    """Pixels whose colour says where on the ground they lie: no two of 0..1023 squared alike, none black."""
    y, x = np.mgrid[y0 : y0 + height, x0 : x0 + width]
    return np.stack([x % 256, y % 256, 16 + x // 256 * 4 + y // 256]).astype(np.uint8)


def places_in(chips: Path, side: str) -> set[tuple[int, int]]:
    """The ground that a side's chips show, read off their pixels."""
    found: set[tuple[int, int]] = set()
    for image, _ in coco(chips / f"{side}.json") if (chips / f"{side}.json").exists() else []:
        pixels = np.asarray(Image.open(chips / "images" / image["file_name"])).astype(int).reshape(-1, 3)
        pixels = pixels[(pixels != FILL).any(axis=1)]
        high = pixels[:, 2] - 16
        found |= set(
            zip((pixels[:, 0] + 256 * (high // 4)).tolist(), (pixels[:, 1] + 256 * (high % 4)).tolist(), strict=True)
        )
    return found


@settings(max_examples=12)
@given(
    seed=st.integers(0, 99),
    block=st.sampled_from([20.0, 33.3, 70.0]),
    turned=st.booleans(),
    boxes=st.lists(
        st.tuples(st.integers(0, 270), st.integers(0, 270), st.integers(4, 60), st.integers(4, 60)),
        min_size=8, max_size=30,
    ),
)  # fmt: skip
def test_no_ground_and_no_label_is_in_both_train_and_val(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    block: float,
    turned: bool,
    boxes: list[tuple[int, int, int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("split")
    transform = TURNED if turned else UTM
    east, north = xy(transform, 23, 37, offset="ul")  # the second scene shows partly the same ground
    shifted = rasterio.Affine(transform.a, transform.b, float(east), transform.d, transform.e, float(north))
    first = write_scene(folder / "a.tif", coded(256, 256), transform=transform)
    second = write_scene(folder / "b.tif", coded(256, 256, 37, 23), transform=shifted)
    corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    labels = write_labels(folder / "labels.gpkg", [on_map(box, transform) for box in corners])
    config = {"size": 64, "val": 0.3, "negatives": 0.5, "block_m": block, "edge_nodata": EdgeNodata.NONE}
    try:
        summary = make(folder / "chips", [first, second], labels, class_name="a", seed=seed, **config)
    except (UsageError, DataError):  # all in one block, or none visible: covered by tests of their own
        return
    train, val = places_in(folder / "chips", "train"), places_in(folder / "chips", "val")
    assert train and not train & val
    assert summary.labels["train"]["a"] + summary.labels["val"]["a"] <= len(boxes)
    for side, other in (("train", val), ("val", train)):
        if not (folder / "chips" / f"{side}.json").exists():
            continue
        for image, records in coco(folder / "chips" / f"{side}.json"):
            dx, dy = (37, 23) if image["file_name"].startswith("b_") else (0, 0)
            x1, y1 = image["scene_xyxy"][0] + dx, image["scene_xyxy"][1] + dy
            for one in records:
                x, y, width, height = one["bbox"]
                part = shapely.box(x1 + x, y1 + y, x1 + x + width, y1 + y + height)
                whole = [box for box in corners if shapely.box(*box).buffer(0.01).contains(part)]
                assert whole  # and of at least one label that has it, the other side sees nothing
                assert any(
                    not any((px, py) in other for px in range(int(a), int(c)) for py in range(int(b), int(d)))
                    for a, b, c, d in whole
                )


def test_blocks_split_what_classes_there_are(place: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 380, (200, 2)).tolist()
    shapes = [on_map((x, y, x + 10, y + 10)) for x, y in corners]
    labels = write_labels(tmp_path / "labels.gpkg", shapes, kind=["rare"] * 20 + ["common"] * 180)
    summary = make(tmp_path / "chips", [place / "scene.tif"], labels, class_field="kind", val=0.25, block_m=20.0)
    for name, count in (("rare", 20), ("common", 180)):
        assert 0.1 * count <= summary.labels["val"][name] <= 0.45 * count
        assert summary.labels["train"][name] + summary.labels["val"][name] >= 0.85 * count
    assert summary.chips["val"] > 0 and (tmp_path / "chips" / "split" / "scene.png").exists()


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326", CRS])
def test_points_get_boxes_of_a_length_on_the_ground(tmp_path: Path, crs: str) -> None:
    longitude, latitude = 12.5, 52.0
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    step = 5e-6 if crs == "EPSG:4326" else 0.5
    transform = rasterio.Affine(step, 0, x - 64 * step, 0, -step, y + 64 * step)
    scene = write_scene(tmp_path / "a.tif", noise(128, 128), crs=crs, transform=transform)
    points = [shapely.MultiPoint([(longitude, latitude)])]
    labels = write_labels(tmp_path / "points.gpkg", points, "EPSG:4326")
    make(tmp_path / "chips", [scene], labels, class_name="tree", point_size_m=12.0)
    ((_, (annotation,)),) = coco(tmp_path / "chips" / "train.json")
    left, top, width, height = annotation["bbox"]
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


def test_chips_without_objects_are_as_many_as_asked_for_and_the_same_each_time(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(1000, 1000))
    labels = write_labels(tmp_path / "labels.gpkg", [on_map((x, 30, x + 20, 50)) for x in range(20, 980, 100)])
    summaries = [make(tmp_path / name, [scene], labels, class_name="a", negatives=0.4) for name in ("one", "two")]
    assert summaries[0].negatives["train"] == pytest.approx(0.4 * summaries[0].chips["train"], abs=1)
    names = sorted(path.name for path in (tmp_path / "one" / "images").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two" / "images").iterdir())
    assert len(names) == summaries[0].chips["train"]
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_what_cannot_be_seen_is_reported(tmp_path: Path) -> None:
    pixels = noise(400, 400)
    pixels[:, :, 200:] = 0
    scene = write_scene(tmp_path / "a.tif", pixels, nodata=0)
    shapes = [on_map(box) for box in (*PIXELS, (5000, 0, 5010, 10))]
    labels = write_labels(tmp_path / "labels.gpkg", shapes, name=[*TYPES, "ship"])
    messages: list[str] = []
    summary = make(tmp_path / "chips", [scene], labels, messages.append)
    assert summary.labels["train"] == {"car": 1, "ship": 2}
    assert [line for line in messages if "1 of 7 labels" in line and "are on none of the scenes" in line]
    assert [line for line in messages if line.startswith("3 labels are not visible enough in any chip")]
    assert [line for line in messages if "are read from its attribute 'name'" in line]


def test_tiles_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    scene = damaged_scene(tmp_path / "a.tif", [9])
    labels = write_labels(tmp_path / "labels.gpkg", [on_map((70, 70, 90, 90)), on_map((400, 400, 420, 420))])
    summary = make(tmp_path / "chips", [scene], labels, class_name="a", overlap="0")
    assert len(summary.unreadable) == 1 and "cannot be read at column" in summary.unreadable[0]
    assert summary.labels["train"] == {"a": 1}


def test_scenes_with_the_same_name_have_their_own_chips(tmp_path: Path) -> None:
    scenes = []
    for number, name in enumerate(["a/x.tif", "b/x.tif", "x-2.tif", "c/X.tif"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scenes.append(write_scene(tmp_path / name, noise(130, 130, seed=number), transform=UTM))
    labels = write_labels(tmp_path / "labels.gpkg", [on_map((70, 70, 90, 90))])
    make(tmp_path / "chips", scenes, labels, class_name="a", overlap="0")
    images = [image["file_name"].casefold() for image, _ in coco(tmp_path / "chips" / "train.json")]
    assert len(set(images)) == len(images) >= 4
    assert len(list((tmp_path / "chips" / "split").iterdir())) == 4


def test_earlier_chips_are_replaced_and_nothing_else(place: Path, tmp_path: Path) -> None:
    def again(folder: Path, **config: Any) -> Any:
        scenes = [str(place / "scene.tif")]
        settings = ChipConfig(size=128, class_field="type", **config)
        return make_chips(scenes, place / "labels.gpkg", folder, settings, overwrite=True)

    again(tmp_path / "chips", val=0.4, block_m=40.0)
    assert (tmp_path / "chips" / "val.json").exists()
    again(tmp_path / "chips", val=0.0)
    assert not (tmp_path / "chips" / "val.json").exists()
    assert {path.name for path in (tmp_path / "chips").iterdir()} == {"images", "split", "train.json"}
    (tmp_path / "own" / "images").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"images' was not made by lcageo chips, so it is not replaced"):
        again(tmp_path / "own")
    with pytest.raises(UsageError, match="exists; use --overwrite"):
        make(tmp_path / "chips", [place / "scene.tif"], place / "labels.gpkg")


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


def test_scenes_that_cannot_be_used_are_refused_with_a_remedy(place: Path, tmp_path: Path) -> None:
    labels, scene = place / "labels.gpkg", place / "scene.tif"
    unplaced = write_scene(tmp_path / "a.tif", noise(50, 50), None, None)
    geopandas.GeoDataFrame(geometry=[on_map((200, 200, 210, 210))], crs=CRS).to_file(tmp_path / "aoi.gpkg")
    bare = write_scene(tmp_path / "b.tif", np.zeros((3, 400, 400), np.uint8), nodata=0)
    with pytest.raises(SceneError, match="labels cannot be placed on it"):
        make(tmp_path / "c", [unplaced], labels, class_field="type")
    with pytest.raises(UsageError, match="is named twice"):
        make(tmp_path / "c", [scene, scene], labels, class_field="type")
    with pytest.raises(UsageError, match=r"would enlarge scene .* use at least 0\.125"):
        make(tmp_path / "c", [scene], labels, class_field="type", gsd_m=0.01)
    with pytest.raises(DataError, match="lies inside --aoi"):
        make(tmp_path / "c", [scene], labels, class_field="type", aoi=tmp_path / "aoi.gpkg")
    with pytest.raises(DataError, match="is visible enough to train on"):
        make(tmp_path / "c", [bare], labels, class_field="type")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"class_field": "a", "class_name": "b"}, "exclude each other"),
        ({"size": 16}, "size 16 is outside 32 to 2,000"),
        ({"overlap": "90%"}, "of the chip of 640 pixels"),
        ({"point_size_m": 0.0}, r"point-size 0\.0 is not a positive number"),
        ({"block_m": float("nan")}, "block nan is not a positive"),
        ({"min_visible": 0.0}, "min-visible"),
        ({"negatives": 1.0}, r"negatives 1\.0 is not a share"),
        ({"val": -0.1}, "val -0.1 is not a share"),
        ({"seed": -1}, "seed -1 is below 0"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ChipConfig(**settings)
