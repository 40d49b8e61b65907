"""`lcageo filter` against pandas, over all formats; `detect --keep` and then `filter` gives what `detect` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.commands import Run
from support.readers import read_layer
from support.scenes import noise, write_scene

from lcageo.detections import Detections
from lcageo.errors import DataError, UsageError
from lcageo.selection.criteria import Criteria
from lcageo.selection.filter import filter_layer
from lcageo.vector import read as layer_reader
from lcageo.vector.features import feature_parts
from lcageo.vector.formats import FORMATS, sidecar
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

CLASSES = ("ship", "vehicle", "storage tank")
CRS = "EPSG:32633"
COUNT = 60
PROVENANCE = {"model": "m", "crs": CRS, "thresholds": {"ship": 0.5, "vehicle": 0.8, "storage tank": 0.3}}
FIELDS = ["id", "class", "class_id", "score", "width_m", "height_m", "area_m2", "scene"]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_reader.LayerFile.parts, "__defaults__", (7, None))


def found(seed: int = 0, count: int = COUNT) -> Detections:
    """Objects of 4 to 40 pixels; some scores are equal."""
    rng = np.random.default_rng(seed)
    corners, sizes = rng.uniform(0, 900, (count, 2)), rng.uniform(4, 40, (count, 2))
    scores = rng.choice(np.round(np.linspace(0.05, 1, 25), 3), count).astype(np.float32)
    return Detections(np.hstack([corners, corners + sizes]), scores, rng.integers(0, 3, count))


def write(path: Path, objects: Detections, crs: str | None = CRS) -> Path:
    """A layer of objects, each pixel half a metre wide."""
    import pyproj

    place = lambda x, y: (500_000 + x / 2, 5_000_000 - y / 2)  # noqa: E731
    parts = feature_parts([objects], CLASSES, place, None if crs is None else pyproj.CRS(crs), "scene")
    write_layer(parts, RunRecord.from_json(PROVENANCE), FileTarget.of(path))
    return path


def read(path: Path) -> geopandas.GeoDataFrame:
    """A layer in the order of its ids, by geopandas."""
    layer = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=path.stem)
    return layer.assign(id=pd.to_numeric(layer["id"])).sort_values("id", ignore_index=True)  # CSV has text only


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_every_format_becomes_every_other(source: str, target: str, tmp_path: Path) -> None:
    before = write(tmp_path / f"all{source}", found())
    counts = filter_layer(before, tmp_path / f"some{target}", Criteria(score=0.0))
    assert sum(counts.read.values()) == sum(counts.kept.values()) == COUNT and not counts.warnings
    expected = read(write(tmp_path / "expected.gpkg", found()))
    after = read(tmp_path / f"some{target}")
    for name in FIELDS:
        if name in ("class", "scene"):
            assert after[name].tolist() == expected[name].tolist()
        else:
            assert pd.to_numeric(after[name]).to_numpy(float) == pytest.approx(expected[name].to_numpy(float))
    degrees = source == ".geojson" or target == ".geojson"
    own = expected.to_crs("OGC:CRS84") if degrees else expected
    if target != ".csv":
        assert after.crs is not None and after.crs.equals(own.crs, ignore_axis_order=True)
    places = shapely.bounds(after.geometry.to_numpy())
    assert np.abs(places - shapely.bounds(own.geometry.to_numpy())).max() < (2e-8 if degrees else 1e-6)
    if target not in (".csv", ".shp"):
        assert open_layer(tmp_path / f"some{target}", "").record.as_json()["filtered"][0]["from"] == str(before)
    else:
        assert sidecar(tmp_path / f"some{target}").exists()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.integers(0, 9),
    score=st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    limits=st.dictionaries(st.sampled_from(CLASSES), st.sampled_from([0.1, 0.6, 0.9])),
    classes=st.sets(st.sampled_from(CLASSES)),
    area=st.none() | st.sampled_from([0.0, 50.0, 150.0, 1e9]),
    top=st.none() | st.integers(1, 70),
)
def test_a_choice_is_what_pandas_chooses(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    score: float | None,
    limits: dict[str, float],
    classes: set[str],
    area: float | None,
    top: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("choice")
    rows = read(write(folder / "all.gpkg", found(seed)))
    criteria = Criteria(score, limits, tuple(sorted(classes)), area, None, top)
    counts = filter_layer(folder / "all.gpkg", folder / "some.gpkg", criteria)
    default = PROVENANCE["thresholds"] if score is None else dict.fromkeys(CLASSES, score)
    assert isinstance(default, dict)
    least = rows["class"].map({**default, **limits})
    expected = rows[rows["score"] >= least]
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


def drawn(tmp_path: Path) -> Path:
    """A layer of 20 objects whose 8th to 14th, all of one part, somebody drew: they have a class and a place."""
    rows = read(write(tmp_path / "all.gpkg", found(count=20)))
    by_hand = rows.index.isin(range(7, 14))
    for name in ("id", "class_id"):
        rows[name] = rows[name].astype("Int64").mask(by_hand)
    for name in ("score", "width_m", "height_m", "area_m2"):
        rows[name] = rows[name].mask(by_hand)
    rows["checked"] = pd.array([None if one else True for one in by_hand], "boolean")
    rows.to_file(tmp_path / "drawn.gpkg", layer="drawn")
    return tmp_path / "drawn.gpkg"


@pytest.mark.parametrize("target", FORMATS)
def test_what_somebody_drew_stays_and_leaves_the_others_as_they_were(target: str, tmp_path: Path) -> None:
    filter_layer(drawn(tmp_path), tmp_path / f"some{target}", Criteria(score=0.9))
    before, after = (
        geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=path.stem)
        for path in (tmp_path / "drawn.gpkg", tmp_path / f"some{target}")
    )
    expected = before[before["score"].isna() | (before["score"] >= 0.9)]
    assert len(after) == len(expected) > 7
    ids, true = (pd.to_numeric(layer["id"].replace("", None)).astype(float) for layer in (after, expected))
    assert sorted(ids.dropna()) == sorted(true.dropna()) and ids.isna().sum() == 7
    assert sorted(after["class"]) == sorted(expected["class"])
    if target not in (".csv", ".fgb"):
        assert pd.api.types.is_integer_dtype(pyogrio_types(tmp_path / f"some{target}")["class_id"])


def pyogrio_types(path: Path) -> dict[str, Any]:
    """The columns' types in the file."""
    import pyarrow.parquet
    import pyogrio

    if path.suffix == ".parquet":
        schema = pyarrow.parquet.read_schema(path)
        return {name: schema.field(name).type.to_pandas_dtype() for name in schema.names if name != "geometry"}
    info = pyogrio.read_info(path, layer=path.stem)
    return {name: np.dtype(kind) for name, kind in zip(info["fields"], info["dtypes"], strict=True)}


def test_what_somebody_drew_counts_among_the_best(tmp_path: Path) -> None:
    for top in (3, 7, 9):
        counts = filter_layer(drawn(tmp_path), tmp_path / f"top{top}.gpkg", Criteria(score=0.0, top=top))
        after = geopandas.read_file(tmp_path / f"top{top}.gpkg", layer=f"top{top}")
        assert sum(counts.kept.values()) == len(after) == top and after["score"].isna().sum() == min(top, 7)
        (tmp_path / "all.gpkg").unlink(), (tmp_path / "drawn.gpkg").unlink()


def test_a_filtered_layer_can_be_converted_again(tmp_path: Path) -> None:
    layer = write(tmp_path / "all.gpkg", found())
    low = filter_layer(layer, tmp_path / "low.gpkg", Criteria(score=0.1, per_class={"ship": 0.2}))
    again = filter_layer(tmp_path / "low.gpkg", tmp_path / "low.fgb", Criteria())
    assert again.kept == low.kept and sum(low.kept.values()) > 40
    assert open_layer(tmp_path / "low.fgb", "").record.as_json()["thresholds"] == {
        "ship": 0.2, "vehicle": 0.1, "storage tank": 0.1,
    }  # fmt: skip


def test_a_layer_of_nothing_kept_is_told(tmp_path: Path) -> None:
    counts = filter_layer(write(tmp_path / "all.gpkg", found()), tmp_path / "none.gpkg", Criteria(classes=("boat",)))
    assert counts.warnings[-1] == f"none of the {COUNT} objects of '{tmp_path / 'all.gpkg'}' meets the criteria"


def test_a_text_as_id_is_one(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "all.gpkg", found())).assign(id=lambda rows: "w" + rows["id"].astype(str))
    rows.to_file(tmp_path / "ways.gpkg", layer="ways")
    filter_layer(tmp_path / "ways.gpkg", tmp_path / "some.fgb", Criteria(score=0.0))
    assert sorted(geopandas.read_file(tmp_path / "some.fgb")["id"]) == sorted(rows["id"])


def test_gdal_reads_what_was_moved(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "all.gpkg", found())
    outcome = run("filter", tmp_path / "all.gpkg", tmp_path / "moved.fgb", "--score", 0.5, "--to", "EPSG:25832")
    assert outcome.code == 0 and outcome.out.strip() == str(tmp_path / "moved.fgb"), outcome.err
    kept = int((found().scores >= 0.5).sum())
    assert f"all {COUNT} {kept}" in " ".join(outcome.err.split())
    layer = read_layer(tmp_path / "moved.fgb")
    expected = read(tmp_path / "all.gpkg").query("score >= 0.5").to_crs("EPSG:25832").set_index("id")
    assert len(layer.rows) == kept
    for row, geometry in zip(layer.rows, layer.geometry, strict=True):
        assert np.abs(np.array(geometry.bounds) - expected.loc[row["id"]].geometry.bounds).max() < 1e-3


def test_candidates_filtered_are_what_detect_finds(tmp_path: Path, run: Run, untrained: Path) -> None:
    # One tile: at a seam, a candidate may make a surer part of itself yield.
    scene = write_scene(tmp_path / "scene.tif", noise(200, 200))
    both: dict[str, Any] = {}
    for name, more in (("plain", ()), ("kept", ("--keep", 0.015))):
        path = tmp_path / f"{name}.gpkg"
        outcome = run("detect", scene, "--model", untrained, "--score", 0.03, "-o", path, *more)
        assert outcome.code == 0, outcome.err
        both[name] = read(path)
    assert len(both["kept"]) > len(both["plain"]) > 0 and both["kept"]["score"].min() < 0.03
    assert run("filter", tmp_path / "kept.gpkg", tmp_path / "again.gpkg").code == 0
    again, plain = (
        {(row["class"], row.geometry.wkt) for _, row in layer.iterrows() if abs(row["score"] - 0.03) > 1e-4}  # rounded
        for layer in (read(tmp_path / "again.gpkg"), both["plain"])
    )
    assert again == plain and len(plain) > 30


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet"])
def test_an_empty_layer_stays_empty(suffix: str, tmp_path: Path) -> None:
    write(tmp_path / f"none{suffix}", Detections.empty())
    counts = filter_layer(tmp_path / f"none{suffix}", tmp_path / "after.gpkg", Criteria())
    assert counts.read == {} and len(read(tmp_path / "after.gpkg")) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--score", 2), 2, "score 2.0 is outside 0 to 1"),
        (("--per-class", "ship"), 2, "is not a class and a score such as ship=0.3"),
        (("--top", 0), 2, "top 0 is below 1"),
        (("--to", "EPSG:1"), 2, "is not a CRS known to PROJ"),
        (("--aoi", "nowhere.gpkg"), 2, "does not exist"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    arguments: tuple[Any, ...], code: int, message: str, tmp_path: Path, run: Run
) -> None:
    write(tmp_path / "all.gpkg", found())
    outcome = run("filter", tmp_path / "all.gpkg", tmp_path / "some.gpkg", *arguments)
    assert outcome.code == code and message in outcome.err and not (tmp_path / "some.gpkg").exists()


def test_a_target_that_exists_or_is_the_source_is_refused(tmp_path: Path, run: Run) -> None:
    layer, other = write(tmp_path / "all.gpkg", found()), write(tmp_path / "other.gpkg", found(1))
    assert "exists; use --overwrite" in run("filter", layer, other).err
    assert "is the input; choose another" in run("filter", layer, layer, "--overwrite").err
    assert "not in WGS 84 / UTM zone 33N" in run("filter", layer, tmp_path / "a.geojson", "--to", CRS).err
    assert run("filter", layer, other, "--overwrite", "--classes", "boat").code == 0
    assert len(read(other)) == 0


def test_a_class_that_the_layer_lacks_is_reported(tmp_path: Path, run: Run) -> None:
    outcome = run("filter", write(tmp_path / "all.gpkg", found()), tmp_path / "some.csv", "--classes", "boat,ship")
    assert outcome.code == 0 and "has no 'boat'; its classes: ship, storage tank, vehicle" in outcome.err


def test_a_layer_without_the_required_columns_is_refused(tmp_path: Path) -> None:
    geopandas.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=CRS).to_file(tmp_path / "own.gpkg")
    with pytest.raises(DataError, match="no column 'score'"):
        filter_layer(tmp_path / "own.gpkg", tmp_path / "some.gpkg", Criteria(score=0.5))
    filter_layer(tmp_path / "own.gpkg", tmp_path / "some.gpkg", Criteria())
    assert read_names(tmp_path / "some.gpkg") == ["a"]
    layer = write(tmp_path / "pixels.gpkg", found(), None)
    with pytest.raises(DataError, match="'area_m2' is empty, but --min-area requires it"):
        filter_layer(layer, tmp_path / "large.gpkg", Criteria(min_area=1.0))


def read_names(path: Path) -> list[str]:
    return [str(name) for name in geopandas.read_file(path)["name"]]
