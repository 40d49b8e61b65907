"""Criteria against pandas, and their edges: areas of interest, the best, objects that somebody drew."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.found_layers import CLASSES, COUNT, CRS, PROVENANCE, drawn, found, read, write

from lcageo.detections import Detections
from lcageo.errors import ConfigError, DataError, UsageError
from lcageo.selection.criteria import Criteria
from lcageo.selection.filter import filter_layer
from lcageo.vector import read as layer_reader
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_reader.LayerFile.parts, "__defaults__", (7, None))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.integers(0, 9),
    score=st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    limits=st.dictionaries(st.sampled_from(CLASSES), st.sampled_from([0.1, 0.6, 0.9])),
    classes=st.sets(st.sampled_from(CLASSES)),
    area=st.none() | st.sampled_from([0.0, 50.0, 150.0, 1e9]),
    top=st.none() | st.integers(1, 70),
)
def test_criteria_select_what_pandas_selects(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    score: float | None,
    limits: dict[str, float],
    classes: set[str],
    area: float | None,
    top: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("criteria")
    rows = read(write(folder / "all.gpkg", found(seed)))
    criteria = Criteria(score, limits, tuple(sorted(classes)), area, None, top)
    counts = filter_layer(folder / "all.gpkg", folder / "some.gpkg", criteria)
    default = PROVENANCE["thresholds"] if score is None else dict.fromkeys(CLASSES, score)
    assert isinstance(default, dict)
    minimum = rows["class"].map({**default, **limits})
    expected = rows[rows["score"] >= minimum]
    expected = expected[expected["class"].isin(classes)] if classes else expected
    expected = expected[expected["area_m2"] >= area] if area is not None else expected
    if top is not None:  # the layer's order breaks ties
        expected = expected.sort_values("score", ascending=False, kind="stable").head(top)
    assert read(folder / "some.gpkg")["id"].tolist() == sorted(expected["id"])
    assert counts.kept == expected["class"].value_counts().to_dict()


def test_an_area_of_interest_in_another_crs_keeps_what_lies_inside(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "all.gpkg", found()))
    area = shapely.box(500_100, 4_999_600, 500_300, 4_999_900)
    geopandas.GeoSeries([area], crs=CRS).to_crs(4326).to_file(tmp_path / "aoi.geojson")
    filter_layer(tmp_path / "all.gpkg", tmp_path / "some.fgb", Criteria(0.0, aoi=tmp_path / "aoi.geojson"))
    inside = rows[rows.geometry.centroid.within(area)]
    assert 3 < len(inside) < COUNT and read(tmp_path / "some.fgb")["id"].tolist() == inside["id"].tolist()


def test_an_area_of_interest_too_large_for_the_layers_crs_keeps_all(tmp_path: Path) -> None:
    layer = write(tmp_path / "all.gpkg", found())
    world = geopandas.GeoDataFrame(geometry=[shapely.box(-180, -90, 180, 90)], crs="EPSG:4326")
    world.to_file(tmp_path / "world.gpkg")
    counts = filter_layer(layer, tmp_path / "some.gpkg", Criteria(score=0.0, aoi=tmp_path / "world.gpkg"))
    assert sum(counts.kept.values()) == COUNT
    pixels = write(tmp_path / "pixels.gpkg", found(), None)
    with pytest.raises(UsageError, match=r"the layer has no CRS, but --aoi '.*' has"):
        filter_layer(pixels, tmp_path / "none.gpkg", Criteria(aoi=tmp_path / "world.gpkg"))


def test_what_somebody_drew_counts_among_the_best(tmp_path: Path) -> None:
    for top in (3, 7, 9):
        counts = filter_layer(drawn(tmp_path), tmp_path / f"top{top}.gpkg", Criteria(score=0.0, top=top))
        after = geopandas.read_file(tmp_path / f"top{top}.gpkg", layer=f"top{top}")
        assert sum(counts.kept.values()) == len(after) == top and after["score"].isna().sum() == min(top, 7)
        (tmp_path / "all.gpkg").unlink(), (tmp_path / "drawn.gpkg").unlink()


def test_a_layer_without_the_required_columns_is_refused(tmp_path: Path) -> None:
    geopandas.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=CRS).to_file(tmp_path / "own.gpkg")
    with pytest.raises(DataError, match="no column 'score'"):
        filter_layer(tmp_path / "own.gpkg", tmp_path / "some.gpkg", Criteria(score=0.5))
    filter_layer(tmp_path / "own.gpkg", tmp_path / "some.gpkg", Criteria())
    assert read_names(tmp_path / "some.gpkg") == ["a"]
    layer = write(tmp_path / "pixels.gpkg", found(), None)
    with pytest.raises(DataError, match="the layer has no CRS to measure them in, nor 'area_m2'"):
        filter_layer(layer, tmp_path / "large.gpkg", Criteria(min_area=1.0))


def test_classes_and_scores_of_other_programs_are_recognised(tmp_path: Path) -> None:
    """As ArcGIS names them, with scores in per cent."""
    shapes = [shapely.box(column, 0, column + 1, 1) for column in range(3)]
    columns = {"Class": ["car", "ship", "car"], "Confidence": [91.5, 40.0, 30.0], "class_2": ["a", "b", "c"]}
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=CRS).to_file(tmp_path / "arcgis.shp")
    counts = filter_layer(tmp_path / "arcgis.shp", tmp_path / "cars.gpkg", Criteria(score=0.3, classes=("car",)))
    assert counts.kept == {"car": 2} and any("taken for per cent" in line for line in counts.warnings)
    assert geopandas.read_file(tmp_path / "cars.gpkg", layer="cars")["score"].tolist() == [0.915, 0.3]
    named = filter_layer(tmp_path / "arcgis.shp", tmp_path / "a.gpkg", Criteria(classes=("a",)), class_field="CLASS_2")
    assert named.kept == {"a": 1}
    with pytest.raises(DataError, match=r"no attribute 'kind' \(--class-field\); it has Class, Confidence, class_2"):
        filter_layer(tmp_path / "arcgis.shp", tmp_path / "b.gpkg", Criteria(), class_field="kind")


def read_names(path: Path) -> list[str]:
    return [str(name) for name in geopandas.read_file(path)["name"]]


def test_only_criteria_that_are_set_are_recorded() -> None:
    assert Criteria().as_json() == {}
    criteria = Criteria(0.0, {"ship": 0.5}, ("ship",), aoi=Path("port.gpkg"))
    assert criteria.as_json() == {
        "score": 0.0, "per_class": {"ship": 0.5}, "classes": ("ship",), "aoi": "port.gpkg",
    }  # fmt: skip


def test_impossible_criteria_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"score 1\.5 is outside 0 to 1"):
        Criteria(per_class={"ship": 1.5})
    with pytest.raises(ConfigError, match="top 0 is below 1"):
        Criteria(top=0)


def test_thresholds_of_a_layer_without_candidates_leave_corrected_objects(tmp_path: Path) -> None:
    """Objects of 0.4 that somebody made storage tanks, whose threshold of 0.5 they need not reach."""
    boxes = np.array([[0, 0, 9, 9], [20, 0, 29, 9]], np.float64)
    objects = Detections(boxes, np.array([0.4, 0.9], np.float32), np.array([2, 0]))
    for keep, count in ((None, 2), (0.1, 1)):
        record = {**PROVENANCE, "parameters": {"keep": keep}, "thresholds": {"storage tank": 0.5, "ship": 0.5}}
        rows = read(write(tmp_path / "all.gpkg", objects)).assign(**{"class": ["storage tank", "ship"]})
        write_layer([rows], RunRecord.from_json(record), FileTarget.of(tmp_path / "own.gpkg"))
        assert sum(filter_layer(tmp_path / "own.gpkg", tmp_path / "some.gpkg", Criteria()).kept.values()) == count
        for name in ("all.gpkg", "own.gpkg", "some.gpkg"):
            (tmp_path / name).unlink()


def test_areas_that_are_missing_are_measured(tmp_path: Path) -> None:
    rows = read(drawn(tmp_path))
    areas = rows["area_m2"].fillna(rows.geometry.area)
    for number, limit in enumerate(areas.quantile([0.3, 0.6]).tolist()):
        counts = filter_layer(
            tmp_path / "drawn.gpkg", tmp_path / f"large{number}.gpkg", Criteria(score=0.0, min_area=limit)
        )
        expected = areas >= limit
        assert sum(counts.kept.values()) == expected.sum() and 0 < expected[rows["score"].isna()].sum() < 7
    boxes = geopandas.GeoDataFrame({"class": ["a", "a"]}, geometry=[shapely.box(0, 0, 1, 1)] * 2, crs=CRS)
    boxes.to_file(tmp_path / "own.gpkg")  # of another program, without areas
    assert filter_layer(tmp_path / "own.gpkg", tmp_path / "b.gpkg", Criteria(min_area=1.1)).kept == {}


def test_scores_of_single_precision_reach_their_threshold(tmp_path: Path) -> None:
    scores = np.array([0.7, 0.69], np.float32)
    frame = geopandas.GeoDataFrame({"class": ["a", "b"], "score": scores}, geometry=[shapely.box(0, 0, 1, 1)] * 2)
    frame.set_crs(CRS).to_parquet(tmp_path / "a.parquet")
    counts = filter_layer(tmp_path / "a.parquet", tmp_path / "b.gpkg", Criteria(score=0.7))
    assert counts.kept == {"a": 1}
