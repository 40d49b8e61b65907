"""Layers compared with layers: a slow loop, pycocotools, areas known by formula, and files as users have them."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import geopandas
import numpy as np
import pycocotools.coco
import pycocotools.cocoeval
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from support.compared_layers import EAST, NORTH, UTM, layer, square
from support.readers import read_layer

from lcageo.data.classmap import ClassMap
from lcageo.detections import Detections
from lcageo.errors import ConfigError, DataError, OutputError, UsageError
from lcageo.evaluation.layers import Objects, evaluate_layer, match_objects
from lcageo.vector.features import features
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer


def slow_match(
    found: list[shapely.Geometry],
    truth: list[shapely.Geometry],
    same: list[list[bool]],
    scores: list[float],
    min_iou: float,
) -> list[int]:
    partners, taken = [-1] * len(found), set[int]()
    for at in sorted(range(len(found)), key=lambda index: -scores[index]):
        best = min_iou
        for other in range(len(truth)):
            common = found[at].intersection(truth[other]).area
            iou = common / (found[at].area + truth[other].area - common)
            if same[at][other] and other not in taken and iou >= best:
                best, partners[at] = iou, other
        taken.add(partners[at])
    return partners


@st.composite
def shapes(draw: st.DrawFn) -> list[shapely.Polygon]:
    """Turned rectangles, close together."""
    number = st.floats(0, 12, width=16)
    polygons = []
    for _ in range(draw(st.integers(0, 9))):
        x, y, width, height = draw(number), draw(number), draw(number) + 1, draw(number) + 1
        polygons.append(shapely.affinity.rotate(shapely.box(x, y, x + width, y + height), draw(st.integers(0, 89))))
    return polygons


@settings(max_examples=300)
@given(data=st.data(), found=shapes(), truth=shapes(), min_iou=st.sampled_from([0.05, 0.3, 0.51, 0.75]))
def test_matching_is_that_of_the_slow_loop(
    data: st.DataObject, found: list[shapely.Polygon], truth: list[shapely.Polygon], min_iou: float
) -> None:
    labels = [
        np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(part), max_size=len(part))), np.int64)
        for part in (found, truth)
    ]
    scores = data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(found), max_size=len(found)))
    matching = match_objects(
        Objects(np.array(found, object), labels[0]),
        Objects(np.array(truth, object), labels[1]),
        np.array(scores),
        min_iou,
    )
    same = (labels[0][:, None] == labels[1]).tolist()
    assert matching.truth.tolist() == slow_match(found, truth, same, scores, min_iou)
    for at, partner in enumerate(matching.truth.tolist()):
        assert (partner < 0) == math.isnan(matching.iou[at])


def coco_figures(
    found: np.ndarray, truth: np.ndarray, labels: list[np.ndarray], scores: np.ndarray, iou: float
) -> tuple[list[float], list[int]]:
    """AP and true positives of each class, by pycocotools; boxes are x, y, width, height."""
    records = [
        [
            {"id": index + 1, "image_id": 1, "category_id": int(label) + 1, "bbox": box.tolist(), "iscrowd": 0,
             "area": float(box[2] * box[3]), "score": float(score)}
            for index, (box, label, score) in enumerate(zip(boxes, own, marks, strict=True))
        ]
        for boxes, own, marks in ((found, labels[0], scores), (truth, labels[1], np.ones(len(truth))))
    ]  # fmt: skip
    categories = [{"id": label + 1, "name": str(label)} for label in range(3)]
    base = pycocotools.coco.COCO()
    base.dataset = {"images": [{"id": 1}], "categories": categories, "annotations": records[1]}
    base.createIndex()
    run = pycocotools.cocoeval.COCOeval(base, base.loadRes(records[0]), "bbox")
    run.params.iouThrs, run.params.maxDets = np.array([iou]), [len(found)]
    run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][0, :, :, 0, 0]  # (101 recalls, 3 classes)
    right = [0 if image is None else int((image["dtMatches"][0] > 0).sum()) for image in run.evalImgs]
    return precision.mean(axis=0).tolist(), right


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.75])
def test_upright_boxes_give_the_figures_of_pycocotools(tmp_path: Path, iou: float) -> None:
    rng = np.random.default_rng(int(100 * iou))
    # Whole numbers, so that equal overlaps and overlaps of exactly the minimum occur, and are computed alike.
    truth = np.column_stack([rng.integers(0, 300, (400, 2)), rng.integers(4, 20, (400, 2))]).astype(float)
    found = truth[rng.integers(0, 400, 600)] + np.column_stack([rng.integers(-3, 4, (600, 2)), np.zeros((600, 2))])
    labels = [rng.integers(0, 3, 600), rng.integers(0, 3, 400)]
    scores = rng.integers(1, 100, 600) / 100
    paths = []
    for name, boxes, own in (("found", found, labels[0]), ("truth", truth, labels[1])):
        low, high = boxes[:, :2] + [EAST, NORTH], boxes[:, :2] + boxes[:, 2:] + [EAST, NORTH]
        polygons = shapely.box(*low.T, *high.T)
        columns = {"class": own.tolist()} | ({"score": scores.tolist()} if name == "found" else {})
        paths.append(layer(tmp_path / f"{name}.gpkg", list(polygons), **columns))
    ours = evaluate_layer(*paths, iou=iou)
    aps, right = coco_figures(found, truth, labels, scores, iou)
    assert [figures.right for figures in ours.per_class] == right and sum(right) > 20
    assert [figures.average_precision for figures in ours.per_class] == pytest.approx(aps, abs=1e-12)
    assert ours.overall.average_precision == pytest.approx(np.mean(aps))
    assert (ours.overall.truth, ours.overall.found, ours.overall.right) == (400, 600, sum(right))


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3857", "EPSG:2180", "EPSG:32632", "EPSG:4258"])
def test_the_crs_of_either_layer_makes_no_difference(pair: tuple[Path, Path], tmp_path: Path, crs: str) -> None:
    for own in range(2):
        moved = list(pair)
        frame = geopandas.read_file(pair[own]).to_crs(crs)
        moved[own] = tmp_path / "moved.gpkg"
        frame.to_file(moved[own])
        assert evaluate_layer(*moved).table() == evaluate_layer(*pair).table()


def test_overlap_is_measured_on_the_shapes_themselves(tmp_path: Path) -> None:
    upright = square(0, 0)
    turned = shapely.affinity.rotate(upright, 45)
    # They share a regular octagon of 2 (sqrt 2 - 1) of their area, so the overlap is 1 / sqrt 2 = 0.7071.
    for crs, tolerance in ((UTM, 1e-9), ("EPSG:4326", 1e-4)):
        found = layer(tmp_path / "found.gpkg", [turned], crs, **{"class": ["ship"]})
        truth = layer(tmp_path / "truth.gpkg", [upright], crs, **{"class": ["ship"]})
        for iou, right in ((1 / math.sqrt(2) - tolerance, 1), (1 / math.sqrt(2) + tolerance, 0)):
            assert evaluate_layer(found, truth, iou=iou).overall.right == right


def test_true_objects_whose_parts_share_a_border_are_one(tmp_path: Path) -> None:
    parts = shapely.MultiPolygon([square(0, 0), square(10, 0)])
    truth = layer(tmp_path / "truth.gpkg", [parts], **{"class": ["ship"]})
    longer = shapely.convex_hull(shapely.MultiPolygon([square(0, 0), square(20, 0)]))
    found = layer(tmp_path / "found.gpkg", [longer], **{"class": ["ship"]})
    evaluation = evaluate_layer(found, truth, iou=2 / 3)  # 200 of 300 square metres, exactly the minimum
    assert evaluation.overall.right == 1
    assert evaluate_layer(found, truth, iou=0.667).overall.right == 0


def test_a_layer_at_the_antimeridian_is_measured_where_it_lies(tmp_path: Path) -> None:
    """GeoJSON cuts objects there into parts at 180 and -180 degrees."""

    def to_map(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 179.9995 + x * 1e-4, -17 - y * 1e-4

    boxes = np.array([[0, 0, 40, 20], [100, 50, 130, 80], [0, 60, 20, 90]], np.float64)
    for name, shift in (("found", 2.0), ("truth", 0.0)):
        objects = Detections(boxes + shift, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64))
        frame = features(objects, ["ship"], to_map, pyproj.CRS(4326), "s")
        write_layer([frame], RunRecord(), FileTarget.of(tmp_path / f"{name}.geojson"))
    cut = read_layer(tmp_path / "truth.geojson").geometry[0]
    assert cut.geom_type == "MultiPolygon"
    evaluation = evaluate_layer(tmp_path / "found.geojson", tmp_path / "truth.geojson", output=tmp_path / "all.gpkg")
    assert evaluation.overall.right == 3
    expected = [(w - 2) * (h - 2) / (2 * w * h - (w - 2) * (h - 2)) for w, h in ((40, 20), (30, 30), (20, 30))]
    found = [row["iou"] for row in read_layer(tmp_path / "all.gpkg").rows]
    assert found == pytest.approx(expected, abs=2e-3)


def test_layers_without_crs_are_compared_as_they_are_but_not_with_others(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    bare = [tmp_path / "a.gpkg", tmp_path / "b.gpkg"]
    for path, source in zip(bare, pair, strict=True):
        frame = geopandas.read_file(source)
        layer(
            path, list(frame.geometry), None, **{name: frame[name].tolist() for name in frame.columns.drop("geometry")}
        )
    evaluation = evaluate_layer(*bare, output=tmp_path / "all.gpkg")
    assert evaluation.crs is None and evaluation.table() == evaluate_layer(*pair).table()
    assert len(read_layer(tmp_path / "all.gpkg").rows) == 6
    for found, truth in ((bare[0], pair[1]), (pair[0], bare[1])):
        with pytest.raises(DataError, match=r"has no CRS, but '.*' is in WGS 84 / UTM zone 33N; save the former with"):
            evaluate_layer(found, truth)


@pytest.mark.parametrize("column", ["label", "Name", "category"])
def test_classes_are_searched_for_in_other_columns_with_a_warning(
    pair: tuple[Path, Path], tmp_path: Path, column: str
) -> None:
    frame = geopandas.read_file(pair[1]).rename(columns={"class": column})
    frame.to_file(tmp_path / "renamed.gpkg")
    evaluation = evaluate_layer(pair[0], tmp_path / "renamed.gpkg")
    assert evaluation.table() == evaluate_layer(*pair).table()
    read = (
        f"classes of '{tmp_path / 'renamed.gpkg'}' are read from its column '{column}' (--class-field chooses another)"
    )
    assert evaluation.warnings == (read,)


def test_layers_of_other_programs_are_compared(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """ArcGIS writes Class and Confidence, in per cent; a column that no program uses is named."""
    found = geopandas.read_file(pair[0])
    found["Confidence"], found["Class"] = found["score"] * 100, found["class"]
    found.drop(columns=["score", "class"]).to_file(tmp_path / "arcgis.gpkg")
    evaluation = evaluate_layer(tmp_path / "arcgis.gpkg", pair[1])
    assert evaluation.table() == evaluate_layer(*pair).table()
    assert "taken for per cent" in " ".join(evaluation.warnings)
    geopandas.read_file(pair[1]).rename(columns={"class": "art"}).to_file(tmp_path / "art.gpkg")
    named = evaluate_layer(pair[0], tmp_path / "art.gpkg", class_field="art")
    assert named.table() == evaluate_layer(*pair).table()
    with pytest.raises(DataError, match=r"has an attribute 'type' \(--class-field\)"):
        evaluate_layer(*pair, class_field="type")


def test_without_classes_everything_is_an_object_with_a_warning(pair: tuple[Path, Path], tmp_path: Path) -> None:
    truth = layer(tmp_path / "plain.gpkg", [square(0, 0), square(200, 200)], colour=["red", "blue"])
    evaluation = evaluate_layer(pair[0], truth, output=tmp_path / "all.gpkg")
    assert [row[:4] for row in evaluation.table()[1:]] == [("object", "2", "4", "2"), ("all", "2", "4", "2")]
    assert (
        "has no column class, label, name, category, classname or class_name; objects are matched regardless"
        in evaluation.warnings[0]
    )
    assert {row["class"] for row in read_layer(tmp_path / "all.gpkg").rows} == {"object"}


def test_a_class_map_puts_names_of_both_layers_together(pair: tuple[Path, Path], tmp_path: Path) -> None:
    truth = layer(
        tmp_path / "truth.gpkg", [square(0, 0), square(50, 0), square(200, 200)], label=["barge", None, "weir"]
    )
    apart = evaluate_layer(pair[0], truth)
    assert apart.overall.right == 0 and "none of the found classes (dam, ship) is a true one" in apart.warnings[-1]
    class_map = ClassMap(targets={"barge": "vessel", "ship": "vessel", "weir": "dam", "boat": "vessel"})
    evaluation = evaluate_layer(pair[0], truth, class_map=class_map)
    assert [row[:4] for row in evaluation.table()[1:]] == [
        ("(no class)", "1", "0", "0"), ("dam", "1", "1", "1"), ("vessel", "1", "3", "1"), ("all", "3", "4", "2"),
    ]  # fmt: skip
    assert evaluation.warnings[1:] == ("class map: no object has the class 'boat'",)


def test_numbers_can_be_classes_also_where_one_is_missing(tmp_path: Path) -> None:
    found = layer(tmp_path / "found.gpkg", [square(0, 0)], **{"class": [3]})
    truth = layer(tmp_path / "truth.gpkg", [square(0, 0), square(50, 0)], **{"class": [3.0, None]})
    assert [figures.name for figures in evaluate_layer(found, truth).per_class] == ["(no class)", "3"]


def test_without_scores_there_is_no_average_precision(pair: tuple[Path, Path], tmp_path: Path) -> None:
    geopandas.read_file(pair[0]).drop(columns="score").to_file(tmp_path / "plain.gpkg")
    evaluation = evaluate_layer(tmp_path / "plain.gpkg", pair[1], output=tmp_path / "all.gpkg")
    assert {figures.average_precision for figures in (*evaluation.per_class, evaluation.overall)} == {None}
    assert [row[-1] for row in evaluation.table()[1:]] == ["-"] * 3
    assert evaluation.overall.right == 2
    assert {row["score"] for row in read_layer(tmp_path / "all.gpkg").rows} == {None}


def test_nothing_found_and_nothing_true_are_normal(pair: tuple[Path, Path], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.geojson"
    empty = features(Detections.empty(), ["ship"], lambda x, y: (x, y), pyproj.CRS(UTM), "s")
    write_layer([empty], RunRecord(), FileTarget.of(nothing))
    missed = evaluate_layer(nothing, pair[1], output=tmp_path / "missed.gpkg")
    assert missed.table()[2] == ("ship", "3", "0", "0", "0", "3", "-", "0.000", "0.000", "0.000")
    assert missed.overall.average_precision == 0 and not missed.warnings
    assert [row["result"] for row in read_layer(tmp_path / "missed.gpkg").rows] == ["miss"] * 4
    false = evaluate_layer(pair[0], nothing)
    assert false.table()[-1] == ("all", "0", "4", "0", "4", "0", "0.000", "-", "0.000", "-")
    assert "nothing.geojson' has no objects, so every found object counts as a false positive" in false.warnings[0]
    neither = evaluate_layer(nothing, nothing, output=tmp_path / "neither.geojson")
    assert neither.table()[1:] == [("all", *["0"] * 5, *["-"] * 4)]
    assert json.loads((tmp_path / "neither.geojson").read_text())["features"] == []


def test_layers_that_do_not_overlap_are_reported(pair: tuple[Path, Path], tmp_path: Path) -> None:
    far = layer(tmp_path / "far.gpkg", [square(9_000, 0)], **{"class": ["ship"]})
    assert "do not overlap on the map; check their CRS" in evaluate_layer(far, pair[1]).warnings[0]


def test_what_was_fixed_in_either_layer_is_reported(pair: tuple[Path, Path], tmp_path: Path) -> None:
    bow_tie = shapely.Polygon([(EAST, NORTH), (EAST + 9, NORTH + 9), (EAST + 9, NORTH), (EAST, NORTH + 9)])
    truth = layer(tmp_path / "truth.gpkg", [bow_tie, shapely.Polygon(), square(50, 0)], **{"class": ["ship"] * 3})
    evaluation = evaluate_layer(pair[0], truth, output=tmp_path / "all.gpkg")
    assert [line.split("': ")[1] for line in evaluation.warnings] == [
        "1 feature with edges that cross or touch; made valid", "1 feature without geometry or area; left out",
    ]  # fmt: skip
    assert evaluation.overall.truth == 2
    # Without a column of ids the position in the file is the id, counted before anything was left out.
    assert [row["truth_id"] for row in read_layer(tmp_path / "all.gpkg").rows] == [None, None, 3, None, 1]


def test_an_output_is_refused_before_anything_is_read_and_replaced_only_on_request(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    existing = tmp_path / "there.gpkg"
    existing.write_text("precious")
    nowhere = tmp_path / "none.gpkg"
    with pytest.raises(UsageError, match=r"there\.gpkg' exists; use --overwrite"):
        evaluate_layer(nowhere, nowhere, output=existing)
    with pytest.raises(UsageError, match=r"has no known suffix"):
        evaluate_layer(nowhere, nowhere, output=tmp_path / "all.txt")
    with pytest.raises(OutputError, match=r"does not exist; create it first"):
        evaluate_layer(nowhere, nowhere, output=tmp_path / "no" / "all.gpkg")
    for own in pair:
        with pytest.raises(UsageError, match=r"is one of the layers to compare; choose another file"):
            evaluate_layer(*pair, output=own, overwrite=True)
    with pytest.raises(DataError, match="does not exist"):
        evaluate_layer(nowhere, pair[1], output=existing, overwrite=True)
    assert existing.read_text() == "precious"
    evaluate_layer(*pair, output=existing.with_suffix(".GPKG"), overwrite=True)
    assert len(read_layer(existing).rows) == 6
    assert {path.name for path in tmp_path.iterdir()} == {"found.gpkg", "truth.gpkg", "there.gpkg"}


@pytest.mark.parametrize("iou", [0.0, -0.1, 1.01, math.nan])
def test_an_overlap_outside_0_to_1_is_refused(pair: tuple[Path, Path], iou: float) -> None:
    with pytest.raises(ConfigError, match="is out of range; give a value above 0 and at most 1"):
        evaluate_layer(*pair, iou=iou)


def test_a_layer_matches_itself_exactly(pair: tuple[Path, Path], tmp_path: Path) -> None:
    degrees = layer(tmp_path / "degrees.gpkg", [square(0, 0), square(50, 0)], "EPSG:4326", **{"class": ["a", "b"]})
    for path in (pair[1], degrees):
        evaluation = evaluate_layer(path, path, iou=1.0)
        assert evaluation.overall.right == evaluation.overall.truth > 1


def test_a_confidence_of_true_objects_is_no_score(pair: tuple[Path, Path], tmp_path: Path) -> None:
    found, truth = pair
    layer = geopandas.read_file(truth)
    layer["confidence"] = ["high", "low"] * (len(layer) // 2) + ["high"] * (len(layer) % 2)
    layer.to_file(tmp_path / "graded.gpkg")
    one, other = evaluate_layer(found, truth), evaluate_layer(found, tmp_path / "graded.gpkg")
    assert one.overall == other.overall and not any("confidence" in line for line in other.warnings)


def test_scores_that_are_not_numbers_are_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    found = layer(tmp_path / "f.gpkg", [square(0, 0), square(50, 0)], **{"class": ["a"] * 2, "score": ["0.5", "high"]})
    with pytest.raises(DataError, match=r"feature 2 has the score 'high', not a number; fix it"):
        evaluate_layer(found, pair[1])
    for score, words in (
        (math.inf, "feature 2 has the score 'inf', not a number"),
        (None, "feature 2 has no score; fill"),
    ):
        columns = {"class": ["a"] * 2, "score": [0.5, score]}
        found = layer(tmp_path / f"{score}.gpkg", [square(0, 0), square(50, 0)], **columns)
        with pytest.raises(DataError, match=words):
            evaluate_layer(found, pair[1])


def test_points_are_refused_with_a_remedy(pair: tuple[Path, Path], tmp_path: Path) -> None:
    points = layer(tmp_path / "points.gpkg", [shapely.Point(EAST, NORTH)], **{"class": ["ship"]})
    with pytest.raises(
        DataError, match=r"--truth '.*' holds 1 points or lines .* overlap is measured between polygons"
    ):
        evaluate_layer(pair[0], points)


@pytest.mark.slow
def test_a_hundred_thousand_objects_take_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = 100_000
    x, y = rng.uniform(0, 20_000, (2, count))
    width, height = rng.uniform(3, 40, (2, count))
    names = rng.choice(["a", "b", "c"], count).tolist()
    paths = []
    for name, shift in (("found", 1.0), ("truth", 0.0)):
        polygons = shapely.box(EAST + x + shift, NORTH + y, EAST + x + shift + width, NORTH + y + height)
        paths.append(layer(tmp_path / f"{name}.gpkg", list(polygons), **{"class": names, "score": rng.random(count)}))
    start = time.monotonic()
    evaluation = evaluate_layer(*paths, output=tmp_path / "all.gpkg")
    assert time.monotonic() - start < 60
    assert evaluation.overall.recall > 0.99


def test_objects_that_were_dissolved_into_one_feature_are_counted_one_by_one(tmp_path: Path) -> None:
    places = [square(30 * number, 7 * number) for number in range(12)]
    single = layer(tmp_path / "single.gpkg", places, **{"class": ["tank"] * 12})
    both = [shapely.MultiPolygon(places[:6]), shapely.MultiPolygon(places[6:])]
    dissolved = layer(tmp_path / "dissolved.gpkg", both, **{"class": ["tank"] * 2})
    for found, truth, notes in ((single, dissolved, 1), (dissolved, single, 1), (dissolved, dissolved, 2)):
        evaluation = evaluate_layer(found, truth)
        assert (evaluation.overall.truth, evaluation.overall.right) == (12, 12)
        assert len([line for line in evaluation.warnings if "2 features with parts that lie apart" in line]) == notes


def test_hidden_candidates_are_no_true_objects(tmp_path: Path) -> None:
    """A layer of `detect --keep`, corrected in QGIS, which shows only what reaches the thresholds."""
    frame = geopandas.GeoDataFrame(
        {"class": ["ship"] * 3, "score": [0.9, 0.4, 0.1]}, geometry=[square(100 * at, 0) for at in range(3)], crs=UTM
    )
    record = RunRecord.from_json({"thresholds": {"ship": 0.3}, "parameters": {"keep": 0.05}})
    write_layer([frame], record, FileTarget.of(tmp_path / "truth.gpkg"))
    found = layer(tmp_path / "found.gpkg", [square(0, 0)], **{"class": ["ship"]})
    evaluation = evaluate_layer(found, tmp_path / "truth.gpkg")
    assert evaluation.overall.truth == 2
    assert any("1 candidate of --truth" in line and "left out" in line for line in evaluation.warnings)


def test_shapes_that_boxes_cannot_match_are_told(tmp_path: Path) -> None:
    cars = [shapely.affinity.rotate(shapely.box(EAST + at, NORTH, EAST + at + 4.5, NORTH + 1.8), 45) for at in (0, 20)]
    truth = layer(tmp_path / "truth.gpkg", cars, **{"class": ["car"] * 2})
    boxes = layer(tmp_path / "boxes.gpkg", [car.envelope for car in cars], **{"class": ["car"] * 2})
    warnings = [line for line in evaluate_layer(boxes, truth).warnings if "fill" in line]
    assert len(warnings) == 1 and "true objects fill 41% of their bounding boxes" in warnings[0]
    for one, other in ((boxes, boxes), (truth, truth)):
        assert not any("fill" in line for line in evaluate_layer(one, other).warnings)
    assert not any("fill" in line for line in evaluate_layer(boxes, truth, iou=0.3).warnings)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_turn_around_the_globe_makes_no_difference(tmp_path: Path, swapped: bool) -> None:
    """Boxes beyond 180 degrees: in metres of Web Mercator in one piece, in GeoJSON on the other side."""
    edge = math.pi * 6_378_137
    boxes = [shapely.box(edge + at, 100, edge + at + 40, 140) for at in (-60, -20, 60, 120)]
    truth = _written(tmp_path / "t.gpkg", boxes, "EPSG:3857")
    degrees = [shapely.transform(box, lambda points: points * (180 / edge)) for box in boxes]
    beyond = [box if box.bounds[2] < 180.0002 else shapely.affinity.translate(box, -360) for box in degrees]
    found = _written(tmp_path / "f.gpkg", beyond, "EPSG:4326")
    pair = (truth, found) if swapped else (found, truth)
    evaluation = evaluate_layer(*pair)
    assert evaluation.overall.right == 4 and not evaluation.warnings
    assert not evaluate_layer(found, _written(tmp_path / "e.gpkg", boxes[3:], "EPSG:3857")).warnings


def _written(path: Path, shapes: list[shapely.Polygon], crs: str) -> Path:
    geopandas.GeoDataFrame({"class": ["ship"] * len(shapes)}, geometry=shapes, crs=crs).to_file(path)
    return path


def test_the_differences_lie_in_the_crs_of_their_record(tmp_path: Path) -> None:
    """A CSV file has no CRS but that of its record."""
    shapes = [shapely.box(15.0 + at, 45.0, 15.001 + at, 45.001) for at in (0.0, 0.01)]
    truth = _written(tmp_path / "t.gpkg", shapes, "EPSG:4326")
    evaluation = evaluate_layer(truth, truth, output=tmp_path / "d.csv")
    again = open_layer(tmp_path / "d.csv", "")
    assert again.crs == pyproj.CRS(4326) and again.record.unknown["measured_in"] == evaluation.crs
    assert evaluation.crs is not None and evaluation.crs.startswith("+proj=laea")
    assert [round(shape.bounds[0], 6) for shape in again.read().geometry] == [15.0, 15.01]


@pytest.mark.parametrize("score", [-0.1, 30.0])
def test_a_score_outside_0_to_1_is_refused(pair: tuple[Path, Path], score: float) -> None:
    with pytest.raises(ConfigError, match=f"score {score} is outside 0 to 1"):
        evaluate_layer(*pair, score=score)


def test_scores_of_single_precision_reach_their_threshold(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"class": ["ship"], "score": np.float32([0.7])}, geometry=[square(0, 0)], crs=UTM)
    frame.to_parquet(tmp_path / "f.parquet")
    truth = layer(tmp_path / "t.gpkg", [square(0, 0)], **{"class": ["ship"]})
    assert evaluate_layer(tmp_path / "f.parquet", truth, score=0.7).overall.right == 1
