"""The joint layer of a survey: against plain loops over random surveys, then rule by rule."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from lcageo.calibration import Calibration
from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.scene.georef import Georeference
from lcageo.survey import joint
from lcageo.survey.joint import CountedObjects, SceneLayer, common_crs, joint_parts
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

CLASSES = ("ship", "storage tank")
COLUMNS = ["id", "class", "class_id", "score", "width_m", "height_m", "area_m2", "scene", "geometry"]
EXACT = [".gpkg", ".fgb", ".shp", ".parquet"]  # the others round coordinates, so that ties are broken
Rows = list[tuple[float, ...]]
"""(x1, y1, x2, y2, score, label) in scene pixels."""


@dataclass(frozen=True)
class Scene:
    """A scene, what was found in it, and its layer on the disk."""

    layer: SceneLayer
    affine: rasterio.Affine
    found: Detections
    frame: geopandas.GeoDataFrame


def placed(
    folder: Path, name: str, affine: rasterio.Affine, rows: Rows, size: tuple[int, int] = (200, 100),
    crs: int = 32631, suffix: str = ".gpkg", gsd_m: float | None = None,
) -> Scene:  # fmt: skip
    table = np.array(rows, np.float64).reshape(-1, 6)
    found = Detections(table[:, :4], table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))
    frame = features(found, CLASSES, Georeference(pyproj.CRS(crs), affine).to_map, pyproj.CRS(crs), "as it was")
    path = folder / f"{name}{suffix}"
    write_layer([frame], RunRecord(), FileTarget.of(path))
    corners = tuple(affine @ corner for corner in ((0, 0), (size[0], 0), size, (0, size[1])))
    gsd_m = gsd_m or abs(affine.determinant) ** 0.5
    return Scene(SceneLayer(name, path, pyproj.CRS(crs), gsd_m, corners, size, len(found)), affine, found, frame)


def joined(
    scenes: Sequence[Scene], agnostic: bool = False, least: dict[str, float] | None = None
) -> geopandas.GeoDataFrame:
    parts = joint_parts([scene.layer for scene in scenes], CLASSES, agnostic, least or {})
    return pd.concat(parts, ignore_index=True)


def names(scenes: Sequence[Scene], agnostic: bool = False) -> list[str]:
    return joined(scenes, agnostic)["scene"].tolist()


@dataclass(frozen=True)
class Plain:
    """One object, with all that decides about it."""

    place: tuple[int, int]
    label: int
    polygon: Any
    cut: bool
    rank: tuple[float, ...]


def plain_objects(scenes: Sequence[Scene]) -> list[Plain]:
    crs = common_crs([scene.layer for scene in scenes])
    objects = []
    for number, scene in enumerate(scenes):
        width, height = scene.layer.size
        raster = shapely.Polygon(scene.layer.corners)
        outline = geopandas.GeoSeries([shapely.segmentize(raster, 0.2)], crs=scene.layer.crs).to_crs(crs)[0]
        for row, polygon in enumerate(scene.frame.to_crs(crs).geometry):
            x1, y1, x2, y2 = scene.found.boxes_xyxy[row]
            cut = bool(min(x1, y1, width - x2, height - y2) <= 4)
            margin = polygon.centroid.distance(outline.exterior)
            rank = (round(log(scene.layer.gsd_m, 1.1)), -margin, -scene.frame["score"][row], number, row)
            objects.append(Plain((number, row), int(scene.found.labels[row]), polygon, cut, rank))
    return objects


def plain_joint(scenes: Sequence[Scene], agnostic: bool) -> tuple[list[tuple[int, int]], int]:
    """(scene, row) of what stays, in this order, and how many have yielded to larger ones."""
    objects = plain_objects(scenes)

    def can_be_one(a: Plain, b: Plain) -> bool:
        return a.place[0] != b.place[0] and (agnostic or a.label == b.label) and a.polygon.intersects(b.polygon)

    def yields(a: Plain, b: Plain) -> bool:
        larger = b.polygon.area > a.polygon.area or (b.polygon.area == a.polygon.area and not b.cut)
        return a.cut and larger and a.polygon.intersection(b.polygon).area > 0.6 * a.polygon.area

    def iou(a: Plain, b: Plain) -> float:
        return float(a.polygon.intersection(b.polygon).area / a.polygon.union(b.polygon).area)

    rest = [a for a in objects if not any(can_be_one(a, b) and yields(a, b) for b in objects)]
    kept: list[Plain] = []
    for a in sorted(rest, key=lambda a: a.rank):
        if not any(can_be_one(a, b) and iou(a, b) > 0.4 for b in kept):
            kept.append(a)
    return sorted(a.place for a in kept), len(objects) - len(rest)


def random_survey(folder: Path, seed: int) -> list[Scene]:
    """Scenes of one place, most of them turned, at the border of two UTM zones, and what each saw of its objects."""
    rng = np.random.default_rng(seed)
    truth, sides = rng.uniform(-40, 40, (int(rng.integers(0, 25)), 2)), rng.uniform(3, 15, 2)
    scenes = []
    for number in range(int(rng.integers(1, 5))):
        crs = int(rng.choice([32631, 32631, 32632]))
        size, gsd = (int(rng.integers(60, 140)), int(rng.integers(60, 140))), float(rng.choice([0.5, 0.5, 0.52, 0.8]))
        east, north = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(6.0, 45.0)
        dx, dy = rng.uniform(-25, 25, 2) * (number > 0)
        turn = float(rng.choice([0, 0, 90, rng.uniform(0, 360)]))
        affine = (
            rasterio.Affine.translation(east + dx, north + dy) @ rasterio.Affine.rotation(turn)
            @ rasterio.Affine.scale(gsd, -gsd) @ rasterio.Affine.translation(-size[0] / 2, -size[1] / 2)
        )  # fmt: skip
        rows = []
        for x, y in truth + rng.normal(0, 0.5, truth.shape):
            column, row = ~affine @ (east + x, north + y)
            half = sides / gsd / 2 * rng.uniform(0.8, 1.2, 2)
            x1, y1, x2, y2 = np.clip([column - half[0], row - half[1], column + half[0], row + half[1]], 0, size * 2)
            score = round(float(rng.random()), 1 if seed % 2 else 4)
            rows += [(x1, y1, x2, y2, score, int(rng.random() < 0.2))] if x2 > x1 and y2 > y1 else []
        scenes.append(placed(folder, f"s{number}", affine, rows, size, crs, str(rng.choice(EXACT))))
    return [*scenes, scenes[0]] if rng.random() < 0.2 else scenes


def assert_as_in_plain_loops(scenes: Sequence[Scene], agnostic: bool) -> int:
    kept, yielded = plain_joint(scenes, agnostic)
    layer, crs = joined(scenes, agnostic), common_crs([scene.layer for scene in scenes])
    assert layer.columns.tolist() == COLUMNS and layer.crs == crs
    assert layer["id"].tolist() == list(range(1, len(kept) + 1))
    assert layer["scene"].tolist() == [scenes[scene].layer.name for scene, _ in kept]
    for name in ("class", "class_id", "score", "width_m", "height_m", "area_m2"):
        assert layer[name].tolist() == [scenes[scene].frame[name][row] for scene, row in kept]
    moved = [scene.frame.to_crs(crs).geometry for scene in scenes]
    for polygon, (scene, row) in zip(layer.geometry, kept, strict=True):
        assert shapely.hausdorff_distance(polygon, moved[scene][row]) < 1e-6
        assert polygon.exterior.is_ccw
    return yielded


@settings(max_examples=40)
@given(seed=st.integers(0, 100_000), agnostic=st.booleans())
def test_random_surveys_are_joined_as_by_plain_loops(seed: int, agnostic: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_as_in_plain_loops(random_survey(Path(folder), seed), agnostic)


def test_few_scenes_in_memory_and_small_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("OBJECTS_AT_ONCE", 4), ("BLOCK", 3), ("PART_ROWS", 2)):
        monkeypatch.setattr(joint, name, value)
    yielded, lost = 0, 0
    for seed in range(8):
        (tmp_path / str(seed)).mkdir()
        scenes = random_survey(tmp_path / str(seed), seed)
        yielded += assert_as_in_plain_loops(scenes, agnostic=False)
        parts = list(joint_parts([scene.layer for scene in scenes], CLASSES))
        assert all(1 <= len(part) <= 2 for part in parts) or [len(part) for part in parts] == [0]
        lost += sum(len(scene.found) for scene in scenes) - sum(map(len, parts))
    assert yielded > 5 and lost > yielded + 20  # the surveys put both rules to use


NORTH_UP = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
FINER = NORTH_UP @ rasterio.Affine.scale(0.5)
"""The same origin; a pixel of 0.25 m."""


def east_by(metres: float) -> rasterio.Affine:
    return rasterio.Affine.translation(metres, 0) @ NORTH_UP


def test_of_two_scenes_the_finer_one_keeps_the_object_whatever_its_score_and_margin(tmp_path: Path) -> None:
    coarse = placed(tmp_path, "coarse", NORTH_UP, [(90, 40, 110, 60, 0.9, 0)])
    fine = placed(tmp_path, "fine", FINER, [(180, 80, 220, 120, 0.3, 0)], (230, 130))
    assert names([coarse, fine]) == ["fine"] == names([fine, coarse])
    assert joined([coarse, fine])["score"].tolist() == [0.3]


def test_of_equal_gsds_the_larger_margin_then_the_score_then_the_order_decides(tmp_path: Path) -> None:
    near = placed(tmp_path, "near", NORTH_UP, [(165, 40, 185, 60, 0.9, 0)])
    far = placed(tmp_path, "far", east_by(50), [(66, 40, 86, 60, 0.3, 0)], gsd_m=0.51)
    assert names([near, far]) == ["far"]
    sure = placed(tmp_path, "sure", NORTH_UP, [(165, 40, 185, 60, 0.95, 0)])
    assert names([near, sure]) == ["sure"] and names([near, near]) == ["near"]


def test_objects_that_overlap_little_or_are_of_another_class_stay(tmp_path: Path) -> None:
    one = placed(tmp_path, "one", NORTH_UP, [(90, 40, 110, 60, 0.9, 0)])
    beside = placed(tmp_path, "beside", NORTH_UP, [(99, 40, 119, 60, 0.9, 0)])  # IoU 11/29
    other = placed(tmp_path, "other", NORTH_UP, [(91, 40, 111, 60, 0.8, 1)])
    assert names([one, beside]) == ["one", "beside"]
    assert names([one, other]) == ["one", "other"] and len(names([one, other], agnostic=True)) == 1
    assert joined([one, other])["class"].tolist() == ["ship", "storage tank"]


def test_objects_of_one_scene_are_not_compared(tmp_path: Path) -> None:
    twice = placed(tmp_path, "twice", NORTH_UP, [(90, 40, 110, 60, 0.9, 0), (90, 40, 110, 60, 0.9, 0)])
    assert names([twice, placed(tmp_path, "empty", NORTH_UP, [])]) == ["twice", "twice"]


def test_an_object_cut_by_the_border_yields_to_the_uncut_one_of_a_coarser_scene(tmp_path: Path) -> None:
    cut = placed(tmp_path, "cut", FINER, [(390, 80, 400, 120, 0.9, 0)], (400, 200))
    short = placed(tmp_path, "short", FINER, [(385, 80, 395, 120, 0.9, 0)], (400, 200))  # ends 5 pixels before it
    whole = placed(tmp_path, "whole", east_by(50), [(85, 40, 115, 60, 0.3, 0)])
    assert names([cut, whole]) == ["whole"]
    assert names([short, whole]) == ["short", "whole"]


def test_of_two_cut_objects_the_smaller_yields(tmp_path: Path) -> None:
    left = placed(tmp_path, "left", FINER, [(370, 80, 400, 120, 0.9, 0)], (400, 200))  # 92.5 to 100 m
    right = placed(tmp_path, "right", east_by(90), [(0, 40, 50, 60, 0.3, 0)])  # 90 to 115 m
    assert names([left, right]) == ["right"]


def test_what_loses_against_a_dropped_object_only_stays(tmp_path: Path) -> None:
    first = placed(tmp_path, "first", NORTH_UP, [(90, 40, 110, 60, 0.9, 0)], gsd_m=0.3)
    second = placed(tmp_path, "second", NORTH_UP, [(98, 40, 118, 60, 0.9, 0)], gsd_m=0.5)
    third = placed(tmp_path, "third", NORTH_UP, [(106, 40, 126, 60, 0.9, 0)], gsd_m=0.8)
    assert names([third, second, first]) == ["third", "first"]


def in_zone(zone: int, metres: float, gsd: float = 0.5) -> rasterio.Affine:
    crs = pyproj.Transformer.from_crs(4326, 32600 + zone, always_xy=True)
    return rasterio.Affine(gsd, 0, crs.transform(6.0, 45.0)[0] + metres, 0, -gsd, crs.transform(6.0, 45.0)[1])


@pytest.mark.parametrize("suffix", FORMATS)
def test_scenes_of_two_zones_meet_in_every_format(tmp_path: Path, suffix: str) -> None:
    # The zones' norths differ by 4.2 degrees here; both scenes begin at 6 E, 45 N.
    rows: Rows = [(30, 30, 50, 50, 0.9, 1), (150, 70, 170, 90, 0.8, 0)]
    west = placed(tmp_path, "west", in_zone(31, 0), rows, suffix=".gpkg")
    more = placed(tmp_path, "more", in_zone(31, 500), rows[:1], suffix=suffix)
    east = placed(tmp_path, "east", in_zone(32, 0, 0.4), [(37, 36, 62, 61, 0.5, 1)], crs=32632, suffix=suffix)
    layer = joined([east, west, more])
    assert layer.crs == "EPSG:32631" and layer.columns.tolist() == COLUMNS
    assert layer["scene"].tolist() == ["east", "west", "more"] and layer["id"].tolist() == [1, 2, 3]
    assert layer["score"].tolist() == [0.5, 0.8, 0.9] and layer["class"].tolist()[0] == "storage tank"
    back = layer.to_crs(32632).geometry[0]
    assert shapely.hausdorff_distance(back, east.frame.geometry[0]) < 0.002
    write_layer([layer], RunRecord(), FileTarget.of(tmp_path / f"joint{suffix}"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_objects_keep_the_order_of_their_ids(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 80, (300, 2))
    rows = [(x, y, x + 9, y + 9, 1 - 0.001 * place, 0) for place, (x, y) in enumerate(starts.tolist())]
    scene = placed(tmp_path, "one", NORTH_UP, rows, suffix=suffix)
    layer = joined([scene])
    assert layer["score"].tolist() == scene.frame["score"].tolist()
    assert layer["id"].dtype == np.int64 and layer["class_id"].dtype == np.int32 and layer["area_m2"].dtype == float


def test_empty_layers_give_one_empty_part_with_all_columns(tmp_path: Path) -> None:
    scenes = [placed(tmp_path, f"none{suffix[1:]}", NORTH_UP, [], suffix=suffix) for suffix in FORMATS]
    parts = list(joint_parts([scene.layer for scene in scenes], CLASSES))
    assert len(parts) == 1 and len(parts[0]) == 0 and parts[0].columns.tolist() == COLUMNS
    assert parts[0].crs == "EPSG:32631" and parts[0].dtypes.equals(scenes[0].frame.dtypes)
    write_layer(parts, RunRecord(), FileTarget.of(tmp_path / "joint.gpkg"))


def test_a_scene_within_another_replaces_what_both_show(tmp_path: Path) -> None:
    around = placed(tmp_path, "around", NORTH_UP, [(90, 40, 110, 60, 0.9, 0), (10, 10, 30, 30, 0.9, 0)])
    within = placed(tmp_path, "within", NORTH_UP @ rasterio.Affine.translation(80, 30)
                    @ rasterio.Affine.scale(0.5), [(20, 20, 60, 60, 0.4, 0)], (80, 80))  # fmt: skip
    layer = joined([around, within])
    assert list(zip(layer["scene"], layer["score"], strict=True)) == [("around", 0.9), ("within", 0.4)]


@pytest.mark.parametrize("suffix", FORMATS)
def test_scenes_at_the_antimeridian_meet_from_both_sides(tmp_path: Path, suffix: str) -> None:
    # Each shows the same object of 4e-4 degrees: in the first scene's degrees, beyond 180, and in UTM zone 1.
    degrees = rasterio.Affine(1e-5, 0, 179.9995, 0, -1e-5, -17)
    west_of = rasterio.Affine(1e-5, 0, -180.001, 0, -1e-5, -17)
    first = placed(tmp_path, "first", degrees, [(30, 40, 70, 60, 0.9, 0)], crs=4326, suffix=suffix, gsd_m=1)
    second = placed(tmp_path, "second", west_of, [(80, 40, 120, 60, 0.9, 0)], crs=4326, suffix=suffix, gsd_m=0.5)
    east, north = pyproj.Transformer.from_crs(4326, 32701, always_xy=True).transform(180.0, -17.0005)
    corner = rasterio.Affine(1, 0, east - 100, 0, -1, north + 50)
    third = placed(tmp_path, "third", corner, [(79, 39, 121, 61, 0.9, 0)], crs=32701, suffix=suffix, gsd_m=0.2)
    assert names([first, second]) == ["second"] and names([second, first]) == ["second"]
    layer = joined([first, second, third])
    assert layer["scene"].tolist() == ["third"] and layer.crs == "EPSG:4326"
    west, _, right, _ = layer.total_bounds
    assert right - west < 1e-3
    assert names([third, third, first]) == ["third"]
    assert shapely.hausdorff_distance(joined([first]).geometry[0], first.frame.geometry[0]) < 1e-7


def test_web_mercator_goes_round_the_globe_too(tmp_path: Path) -> None:
    far = 20_037_508.342789244
    corner = rasterio.Affine(1, 0, far - 100, 0, -1, 0)
    meets = rasterio.Affine(1, 0, -far - 50, 0, -1, 0)
    one = placed(tmp_path, "one", corner, [(80, 40, 120, 60, 0.9, 0)], crs=3857, gsd_m=1)
    other = placed(tmp_path, "other", meets, [(30, 40, 70, 60, 0.9, 0)], crs=3857, gsd_m=0.5)
    assert names([one, other]) == ["other"] == names([other, one])


def test_a_layer_that_is_missing_or_damaged_is_reported_with_a_remedy(tmp_path: Path) -> None:
    whole = [(10.0, 10.0 * row, 20.0, 10.0 * row + 9, 0.5, 0) for row in range(8)]
    for suffix in FORMATS:
        good = placed(tmp_path, "good", NORTH_UP, whole, suffix=suffix).layer
        content = good.path.read_bytes()
        damages = (b"", b"junk", content[: len(content) // 2])
        for damaged in damages[: 2 if suffix == ".csv" else 3]:  # half a CSV file is one
            good.path.write_bytes(damaged)
            with pytest.raises(OutputError, match=r"of scene 'good' cannot be used: .*; use --force to make it again"):
                list(joint_parts([good], CLASSES))
        good.path.unlink()
        with pytest.raises(OutputError, match=rf"good\{suffix}' of scene 'good' cannot be used"):
            list(joint_parts([good], CLASSES))


def test_a_layer_of_other_classes_is_refused(tmp_path: Path) -> None:
    scene = placed(tmp_path, "one", NORTH_UP, [(10, 10, 20, 20, 0.5, 1)])
    with pytest.raises(OutputError, match="it has classes beyond the 1 of the model"):
        list(joint_parts([scene.layer], CLASSES[:1]))


def test_a_scene_that_cannot_be_transformed_to_the_common_crs_is_reported(tmp_path: Path) -> None:
    scene = placed(tmp_path, "here", NORTH_UP, [(10, 10, 20, 20, 0.5, 1)]).layer
    local = pyproj.CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    off = SceneLayer("site", scene.path, local, 0.5, scene.corners, scene.size, scene.objects)
    with pytest.raises(OutputError, match=r"scene 'site' cannot be transformed to WGS 84 / UTM .*; leave it out"):
        list(joint_parts([scene, off], CLASSES))


@pytest.mark.parametrize("border", [False, True], ids=["in the middle", "cut by the border"])
def test_what_was_found_yields_to_no_candidate(tmp_path: Path, border: bool) -> None:
    """A candidate of a finer scene, or a larger one, would hide it: candidates are not shown."""
    coarse = rasterio.Affine(1, 0, 500_000, 0, -1, 5_000_000)
    fine = rasterio.Affine(0.5, 0, 500_000 + 60 * border, 0, -0.5, 5_000_000)
    box = (40, 40, 60, 60) if not border else (180, 40, 200, 60)
    other = tuple(2 * (x - 60 * border) if axis % 2 == 0 else 2 * x for axis, x in enumerate(box))
    wider = (other[0], other[1], other[2] + 8 * border, other[3])
    scenes = [
        placed(tmp_path, "coarse", coarse, [(*box, 0.9, 0)]),
        placed(tmp_path, "fine", fine, [(*wider, 0.1, 0)], size=(400, 200)),
    ]
    assert names(scenes) == ["fine"]
    least = {"ship": 0.5}
    assert joined(scenes, least=least)["scene"].tolist() == ["coarse"]
    counted = CountedObjects(joint_parts([scene.layer for scene in scenes], CLASSES, False, least), least)
    assert len(pd.concat(counted)) == 1 and counted.per_class == {"ship": 1}


def test_only_what_was_found_is_counted(tmp_path: Path) -> None:
    scene = placed(
        tmp_path,
        "a",
        rasterio.Affine(1, 0, 500_000, 0, -1, 5_000_000),
        [(10, 10, 20, 20, 0.9, 0), (40, 40, 50, 50, 0.2, 0), (70, 70, 80, 80, 0.2, 1)],
    )
    least = {"ship": 0.5, "storage tank": 0.2}
    counted = CountedObjects(joint_parts([scene.layer], CLASSES, False, least), least)
    assert len(pd.concat(counted)) == 3 and counted.per_class == {"ship": 1, "storage tank": 1}
    right = counted.probably_right({"ship": Calibration(1.0, 1.0, 0.0, 0.0), "car": Calibration(1.0, 1.0, 0.0, 0.0)})
    assert set(right) == {"ship"} and right["ship"].found == 1 and right["ship"].right == pytest.approx(0.9)


def test_objects_of_a_scene_unlike_the_training_images_count_but_nothing_is_promised_of_them(tmp_path: Path) -> None:
    grid = rasterio.Affine(1, 0, 500_000, 0, -1, 5_000_000)
    scenes = [
        placed(tmp_path, "clear", grid, [(10, 10, 20, 20, 0.9, 0)]),
        placed(tmp_path, "foggy", grid @ grid.translation(5_000, 0), [(10, 10, 20, 20, 0.8, 0)]),
    ]
    parts = joint_parts([scene.layer for scene in scenes], CLASSES, False, {})
    counted = CountedObjects(parts, {}, {"foggy"})
    assert len(pd.concat(counted)) == 2 and counted.per_class == {"ship": 2}
    (right,) = counted.probably_right({"ship": Calibration(1.0, 1.0, 0.0, 0.0)}).values()
    assert right.found == 1 and right.right == pytest.approx(0.9)
