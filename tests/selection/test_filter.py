"""Filtering from every format to every other, with what the layer of objects must keep on the way."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from support.found_layers import COUNT, drawn, found, read, write

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.selection.criteria import Criteria
from lcageo.selection.filter import filter_layer
from lcageo.vector import read as layer_reader
from lcageo.vector.formats import FORMATS, sidecar
from lcageo.vector.polygons import polygons_of
from lcageo.vector.read import open_layer
from lcageo.vector.values import class_texts

FIELDS = ["id", "class", "class_id", "score", "width_m", "height_m", "area_m2", "scene"]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_reader.LayerFile.parts, "__defaults__", (7, None))


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


def test_a_filtered_layer_can_be_converted_again(tmp_path: Path) -> None:
    layer = write(tmp_path / "all.gpkg", found())
    low = filter_layer(layer, tmp_path / "low.gpkg", Criteria(score=0.1, per_class={"ship": 0.2}))
    again = filter_layer(tmp_path / "low.gpkg", tmp_path / "low.fgb", Criteria())
    assert again.kept == low.kept and sum(low.kept.values()) > 40
    assert open_layer(tmp_path / "low.fgb", "").record.as_json()["thresholds"] == {
        "ship": 0.2, "vehicle": 0.1, "storage tank": 0.1,
    }  # fmt: skip


def test_a_layer_of_which_nothing_is_kept_is_reported(tmp_path: Path) -> None:
    counts = filter_layer(write(tmp_path / "all.gpkg", found()), tmp_path / "none.gpkg", Criteria(classes=("boat",)))
    assert counts.warnings[-1] == f"none of the {COUNT} objects of '{tmp_path / 'all.gpkg'}' meets the criteria"


def test_an_id_that_is_text_stays_text(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "all.gpkg", found())).assign(id=lambda rows: "w" + rows["id"].astype(str))
    rows.to_file(tmp_path / "ways.gpkg", layer="ways")
    filter_layer(tmp_path / "ways.gpkg", tmp_path / "some.fgb", Criteria(score=0.0))
    assert sorted(geopandas.read_file(tmp_path / "some.fgb")["id"]) == sorted(rows["id"])


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet"])
def test_an_empty_layer_stays_empty(suffix: str, tmp_path: Path) -> None:
    write(tmp_path / f"none{suffix}", Detections.empty())
    counts = filter_layer(tmp_path / f"none{suffix}", tmp_path / "after.gpkg", Criteria())
    assert counts.read == {} and len(read(tmp_path / "after.gpkg")) == 0


def test_objects_that_were_dissolved_into_one_feature_are_selected_one_by_one(tmp_path: Path) -> None:
    corners = np.array([(30.0 * number, 0.0) for number in range(10)])
    sides = np.arange(10.0) + 5
    boxes = np.hstack([corners, corners + sides[:, None]])
    single = write(tmp_path / "single.gpkg", Detections(boxes, np.full(10, 0.9, np.float32), np.zeros(10, np.int64)))
    read(single).dissolve("class").reset_index().to_file(tmp_path / "dissolved.gpkg")
    for criteria, kept in ((Criteria(score=0.5), 10), (Criteria(score=0.5, min_area=15.0), 7), (Criteria(top=4), 4)):
        for name, notes in (("single", 0), ("dissolved", 1)):
            target = tmp_path / f"{name}-kept.gpkg"
            counts = filter_layer(tmp_path / f"{name}.gpkg", target, criteria, overwrite=True)
            assert counts.read == {"ship": 10} and counts.kept == {"ship": kept}
            assert len([line for line in counts.warnings if "1 feature with parts that lie apart" in line]) == notes
            assert len(read(target)) == kept


def test_an_object_that_the_antimeridian_cuts_keeps_its_centre(tmp_path: Path) -> None:
    """As GeoJSON has it, in two parts: the middle of their bounds is at longitude 0."""
    halves = shapely.MultiPolygon([shapely.box(179.998, 10, 180, 10.002), shapely.box(-180, 10, -179.999, 10.002)])
    frame = geopandas.GeoDataFrame({"class": ["car"]}, geometry=[halves], crs=4326)
    frame.to_file(tmp_path / "cut.geojson")
    around = shapely.box(179.99, 9.99, 180.01, 10.01)
    geopandas.GeoDataFrame(geometry=[around], crs=4326).to_file(tmp_path / "aoi.gpkg")
    counts = filter_layer(tmp_path / "cut.geojson", tmp_path / "a.csv", Criteria(aoi=tmp_path / "aoi.gpkg"))
    assert counts.kept == {"car": 1}
    assert pd.read_csv(tmp_path / "a.csv")["longitude"].tolist() == pytest.approx([179.9995])
    filter_layer(tmp_path / "cut.geojson", tmp_path / "a.geojson", Criteria())
    again = geopandas.read_file(tmp_path / "a.geojson").geometry[0]  # cut again, as RFC 7946 wants it
    assert again.geom_type == "MultiPolygon" and shapely.hausdorff_distance(again, halves) < 1e-7


def test_coordinates_without_a_crs_become_geojson_with_a_warning(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"class": ["car"]}, geometry=[shapely.box(4e5, 5e6, 4e5 + 9, 5e6 + 9)])
    frame.to_parquet(tmp_path / "a.parquet")
    for name, count in (("a.geojson", 1), ("a.gpkg", 0), ("a.csv", 0)):
        warnings = filter_layer(tmp_path / "a.parquet", tmp_path / name, Criteria()).warnings
        assert (
            len([line for line in warnings if "has no CRS: its coordinates are written as they are" in line]) == count
        )


@pytest.mark.parametrize("target", FORMATS)
def test_attributes_keep_their_values_also_where_a_format_has_columns_of_their_names(
    target: str, tmp_path: Path
) -> None:
    """As QGIS leaves them after merging layers; equal but for their case as other programs allow it."""
    columns = {
        "class": ["a", "a", "b"],
        "fid": [1, 1, 2],
        "geom": ["x", "y", "z"],
        "OGC_FID": [7, 7, 8],
        "FID": [3, 3, 4],
    }
    shapes = [shapely.box(at, 0, at + 1, 1) for at in (0, 10, 20)]
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=32633).to_parquet(tmp_path / "in.parquet")
    filter_layer(tmp_path / "in.parquet", tmp_path / f"out{target}", Criteria())
    read = open_layer(tmp_path / f"out{target}", "").read()
    values = {tuple(map(str, read[name])) for name in read.columns if name != "geometry"}
    ours = {tuple(map(str, column)) for column in columns.values()}
    assert {tuple(sorted(one)) for one in values} == {tuple(sorted(one)) for one in ours}  # FlatGeobuf sorts


def test_layers_with_such_attributes_are_appended(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"class": ["a"], "fid": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    frame.to_parquet(tmp_path / "in.parquet")
    filter_layer(tmp_path / "in.parquet", tmp_path / "out.gpkg", Criteria())
    filter_layer(tmp_path / "in.parquet", tmp_path / "out.gpkg", Criteria(), append=True)
    assert geopandas.read_file(tmp_path / "out.gpkg", layer="out")["fid_1"].tolist() == [1, 1]


def test_classes_are_those_that_evaluate_and_chips_read(tmp_path: Path) -> None:
    shapes = [shapely.box(at, 0, at + 1, 1) for at in (0, 10, 20)]
    cases: list[tuple[Any, dict[str, int]]] = [
        ([1.0, 1.0, 2.0], {"1": 2, "2": 1}),
        (pd.array([1, None, 2], "Int64"), {"1": 1, "": 1, "2": 1}),
        (["car ", " car", "car"], {"car": 3}),
    ]
    for values, expected in cases:
        geopandas.GeoDataFrame({"class": values}, geometry=shapes, crs=32633).to_file(tmp_path / "a.gpkg")
        classes = tuple(name for name in expected if name)
        counts = filter_layer(tmp_path / "a.gpkg", tmp_path / "b.gpkg", Criteria(classes=classes), overwrite=True)
        assert counts.read == expected and counts.kept == {name: expected[name] for name in classes}
        found = polygons_of(open_layer(tmp_path / "a.gpkg", ""), "").frame["class"]
        assert Counter(class_texts(found)) == expected


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
def test_objects_in_csv_stay_where_they_are(suffix: str, tmp_path: Path) -> None:
    """The record of GeoJSON names the CRS of its scene; a CSV file has no other CRS than that of its record."""
    layer = write(tmp_path / f"all{suffix}", found())
    filter_layer(layer, tmp_path / "some.csv", Criteria(score=0.0))
    filter_layer(tmp_path / "some.csv", tmp_path / "again.gpkg", Criteria(score=0.0))
    own, after = (read(path).to_crs(32633) for path in (layer, tmp_path / "again.gpkg"))
    assert np.abs(own.geometry.bounds.to_numpy() - after.geometry.bounds.to_numpy()).max() < 0.01
    boxes = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32634")
    boxes.to_file(tmp_path / "own.fgb")
    filter_layer(tmp_path / "own.fgb", tmp_path / "own.csv", Criteria())
    assert open_layer(tmp_path / "own.csv", "").crs == pyproj.CRS(32634)


def test_secrets_of_an_address_are_not_written(tmp_path: Path) -> None:
    address = Path("http://user:word@127.0.0.1/area.geojson?token=SEKRET")
    assert Criteria(aoi=address).as_json() == {"aoi": "http://127.0.0.1/area.geojson"}


def test_csv_keeps_attributes_of_the_names_of_its_own_columns_and_grows_no_others(tmp_path: Path) -> None:
    columns = {"class": ["a", "b"], "WKT": ["x", "y"], "longitude": [1.5, 2.5], "latitude": [3.5, 4.5]}
    shapes = [shapely.box(at, 0, at + 1, 1) for at in (500_000, 500_010)]
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=32633).to_file(tmp_path / "0.gpkg")
    before = tmp_path / "0.gpkg"
    for number in (1, 2, 3):
        filter_layer(before, before := tmp_path / f"{number}.csv", Criteria())
        with before.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert sorted(rows[0]) == sorted([*columns, "WKT_1", "longitude_1", "latitude_1"])
        assert [(row["WKT_1"], row["longitude_1"], row["latitude_1"]) for row in rows] == [
            ("x", "1.5", "3.5"),
            ("y", "2.5", "4.5"),
        ]
        assert [shapely.from_wkt(row["WKT"]).normalize() for row in rows] == [one.normalize() for one in shapes]
        assert float(rows[0]["longitude"]) == pytest.approx(15, abs=1e-4)


def test_a_crs_that_a_shapefile_would_lose_is_refused(tmp_path: Path) -> None:
    rotated = "+proj=ob_tran +o_proj=longlat +o_lat_p=39.25 +o_lon_p=0 +lon_0=18 +datum=WGS84"
    frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.box(5, 5, 6, 6)], crs=rotated)
    frame.to_parquet(tmp_path / "in.parquet")
    with pytest.raises(OutputError, match="a Shapefile cannot store the layer's CRS"):
        filter_layer(tmp_path / "in.parquet", tmp_path / "out.shp", Criteria())
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
    filter_layer(tmp_path / "in.parquet", tmp_path / "out.shp", Criteria(), crs="EPSG:4326")
    assert geopandas.read_file(tmp_path / "out.shp").crs == "EPSG:4326"
