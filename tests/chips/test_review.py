"""A review corrects the objects that were found: what is left, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
import shapely.affinity
from support.labelled_scenes import CRS, PIXELS, make, on_map, write_labels

from lcageo.chips.labels import Labels, read_labels
from lcageo.errors import ConfigError, DataError
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

SHAPES = [on_map(box) for box in PIXELS]
RECORD = {"thresholds": {"ship": 0.5, "car": 0.3}, "parameters": {"keep": 0.05}}
FOUND = ["ship", "car", "ship", "car", "ship"]
SCORES = [0.9, 0.31, 0.6, 0.29, 0.1]
"""The last two are candidates."""


@pytest.fixture
def found(tmp_path: Path) -> Path:
    frame = geopandas.GeoDataFrame({"class": FOUND, "score": SCORES}, geometry=SHAPES[:5], crs=CRS)
    write_layer([frame], RunRecord.from_json(RECORD), FileTarget.of(tmp_path / "found.gpkg"))
    return tmp_path / "found.gpkg"


def review(path: Path, rows: list[tuple[int, str | None, str | None, str | None]], to: str | None = None) -> Path:
    """A review layer of shapes with class, verdict and new class, and a tile around all."""
    frame = {
        "kind": ["tile", *["object"] * len(rows)],
        "class": [None, *(FOUND[number] if name == "" else name for number, name, _, _ in rows)],
        "verdict": [None, *(verdict for _, _, verdict, _ in rows)],
        "new_class": [None, *(new for _, _, _, new in rows)],
    }
    around = shapely.box(*shapely.total_bounds(SHAPES))
    return write_labels(path, [around, *(SHAPES[number] for number, _, _, _ in rows)], to=to, **frame)


def contents(labels: Labels) -> list[tuple[str, int]]:
    """Class of each label, and which of the shapes it has."""
    shapes = labels.layer.shapes
    return sorted(
        (labels.classes[label], min(range(6), key=lambda one: shapely.distance(SHAPES[one].centroid, shape.centroid)))
        for label, shape in zip(labels.labels.tolist(), shapes, strict=True)
    )


@pytest.mark.parametrize(("name", "to"), [("review.gpkg", None), ("review.geojson", "EPSG:4326")])
def test_verdicts_correct_what_was_found(found: Path, tmp_path: Path, name: str, to: str | None) -> None:
    layer = review(
        tmp_path / name,
        [
            (0, "", "wrong", None),
            (1, "", "other class", "lorry"),
            (2, "", None, None),
            (3, "", "right", None),
            (4, "", "wrong", None),
            (5, None, "right", "boat"),  # drawn by hand
        ],
        to,
    )
    labels = read_labels(found, None, None, layer)
    assert contents(labels) == [("boat", 5), ("car", 3), ("lorry", 1), ("ship", 2)]
    assert [line for line in labels.warnings if "1 object without a verdict, left as" in line]


def test_without_verdicts_the_objects_stay_and_candidates_do_not(found: Path, tmp_path: Path) -> None:
    layer = review(tmp_path / "review.gpkg", [(3, "", None, None)])
    assert contents(read_labels(found, None, None, layer)) == [("car", 1), ("ship", 0), ("ship", 2)]


def test_of_two_classes_in_one_place_the_one_that_was_judged_is_meant(tmp_path: Path) -> None:
    write_labels(tmp_path / "found.gpkg", [SHAPES[0], SHAPES[0]], **{"class": ["ship", "car"]})
    layer = review(tmp_path / "review.gpkg", [(0, "car", "wrong", None)])
    assert contents(read_labels(tmp_path / "found.gpkg", None, None, layer)) == [("ship", 0)]


def test_a_wrong_candidate_leaves_the_object_of_another_class_in_its_place(found: Path, tmp_path: Path) -> None:
    """The network gives one location both classes; only the better one is an object."""
    layer = review(tmp_path / "review.gpkg", [(0, "car", "wrong", None), (1, "", "wrong", None)])
    assert contents(read_labels(found, None, None, layer)) == [("ship", 0), ("ship", 2)]


def test_what_is_wrong_does_not_undo_what_is_right_in_its_place(tmp_path: Path) -> None:
    """In whichever order the review has two answers about one place."""
    frame = geopandas.GeoDataFrame({"class": ["ship"], "score": [0.9]}, geometry=SHAPES[:1], crs=CRS)
    write_layer([frame], RunRecord.from_json(RECORD), FileTarget.of(tmp_path / "one.gpkg"))
    wrong, right = (0, "ship", "wrong", None), (0, "car", "right", None)
    for name, rows in (("a", [wrong, right]), ("b", [right, wrong])):
        layer = review(tmp_path / f"{name}.gpkg", rows)
        assert contents(read_labels(tmp_path / "one.gpkg", None, None, layer)) == [("car", 0)]


def test_candidates_are_no_labels(found: Path) -> None:
    assert len(read_labels(found, "class", None)) == 3  # the column that is read by default
    labels = read_labels(found, None, None)
    assert contents(labels) == [("car", 1), ("ship", 0), ("ship", 2)]
    assert any("2 candidates of" in line and "left out" in line for line in labels.warnings)


def test_labels_in_another_column_are_no_candidates(found: Path, tmp_path: Path) -> None:
    frame = geopandas.read_file(found, layer="found").assign(truth=["a", "b", "a", "b", "a"])
    write_layer([frame], RunRecord.from_json(RECORD), FileTarget.of(tmp_path / "drawn.gpkg"))
    assert len(read_labels(tmp_path / "drawn.gpkg", "truth", None)) == 5


def test_scores_may_have_a_decimal_comma(found: Path, tmp_path: Path) -> None:
    """As a spreadsheet saves them."""
    frame = geopandas.read_file(found, layer="found")
    frame = frame.assign(score=[f"{score:.2f}".replace(".", ",") for score in SCORES])
    write_layer([frame], RunRecord.from_json(RECORD | {"crs": CRS}), FileTarget.of(tmp_path / "text.csv"))
    layer = review(tmp_path / "review.gpkg", [(0, "", "wrong", None)])
    assert len(read_labels(tmp_path / "text.csv", None, None)) == 3
    assert contents(read_labels(tmp_path / "text.csv", None, None, layer)) == [("car", 1), ("ship", 2)]


def test_a_review_may_be_all_that_there_is(tmp_path: Path) -> None:
    """The model has found nothing above its thresholds; or there is nothing to review."""
    frame = geopandas.GeoDataFrame({"class": FOUND, "score": SCORES}, geometry=SHAPES[:5], crs=CRS)
    for name, part in (("nothing.gpkg", frame[:0]), ("found.gpkg", frame)):
        write_layer([part], RunRecord.from_json(RECORD), FileTarget.of(tmp_path / name))
    layer = review(tmp_path / "review.gpkg", [(3, "", "right", None), (5, None, "right", "boat")])
    assert contents(read_labels(tmp_path / "nothing.gpkg", None, None, layer)) == [("boat", 5), ("car", 3)]
    empty = write_labels(tmp_path / "empty.gpkg", [], kind=[], verdict=[])
    assert len(contents(read_labels(tmp_path / "found.gpkg", None, None, empty))) == 3


def test_what_cannot_be_used_is_refused_with_a_remedy(found: Path, tmp_path: Path) -> None:
    whole = review(tmp_path / "review.gpkg", [(0, "", "right", None)])
    cases: list[tuple[Path, Path | None, str]] = [
        (whole, None, "is a review layer; name it with --review"),
        (found, found, "has no attribute verdict; name a layer that detect --review wrote"),
        (found, review(tmp_path / "a.gpkg", [(0, "", "other class", None)]), "feature 2 is 'other class' but has no"),
        (found, review(tmp_path / "b.gpkg", [(0, "", "maybe", None)]), "verdict 'maybe'; choose one of right, wrong"),
        (write_labels(tmp_path / "c.gpkg", SHAPES, a=[1] * 6), whole, "has no attribute class; with --review"),
    ]
    for labels, layer, words in cases:
        with pytest.raises(DataError, match=words):
            read_labels(labels, None, None, layer)


def test_chips_show_what_the_review_left(place: Path, found: Path, tmp_path: Path) -> None:
    layer = review(tmp_path / "review.gpkg", [(0, "", "wrong", None), (3, "", "right", None)])
    config: dict[str, Any] = {"review": layer}
    summary = make(tmp_path / "chips", [place / "scene.tif"], found, **config)
    assert summary.labels["train"] == {"car": 2, "ship": 1}
    with pytest.raises(ConfigError, match="leave out the class"):
        make(tmp_path / "chips", [place / "scene.tif"], found, class_name="a", **config)


@pytest.mark.parametrize(("shift", "told"), [(0.0, 0), (3.0, 2)])
def test_verdicts_about_objects_of_another_run_are_told(found: Path, tmp_path: Path, shift: float, told: int) -> None:
    """What was drawn by hand, or scores less than the thresholds, need not be in the layer."""
    rows = [(0, 0.9, "wrong"), (2, 0.6, "right"), (4, 0.1, "right"), (5, None, "right")]
    shapes = [shapely.affinity.translate(SHAPES[number], shift) for number, _, _ in rows]
    columns = {"class": ["ship"] * 4, "score": [score for _, score, _ in rows], "verdict": [one for _, _, one in rows]}
    layer = write_labels(tmp_path / "review.gpkg", shapes, **columns)
    labels = read_labels(found, None, None, layer)
    lines = [line for line in labels.warnings if "are about objects that" in line]
    assert [f"{told} of 4 verdicts" in line for line in lines] == [True] * bool(told)
