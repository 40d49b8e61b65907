"""Layers read part by part, of our own writing and of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import pytest
import shapely
from support.layers import CLASSES, RECORD, UTM33, layer_at, write_layer

from lcageo.detections import Detections
from lcageo.errors import DataError
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS
from lcageo.vector.read import open_layer

SQUARE = shapely.box(500_000, 5_000_000, 500_010, 5_000_010)
IN_UTM = RECORD | {"crs": "EPSG:32633"}
"""A record with the CRS, which a CSV file has nowhere else."""


def many(count: int) -> geopandas.GeoDataFrame:
    corners = np.random.default_rng(1).uniform(0, 900, (count, 2))
    objects = Detections(np.hstack([corners, corners + 10]), np.full(count, 0.5, np.float32), np.arange(count) % 2)
    return features(objects, CLASSES, UTM33.to_map, UTM33.crs, "scene-ü")


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    layer, path = layer_at("utm"), tmp_path / f"found{suffix}"
    write_layer(layer, IN_UTM, path)
    file = open_layer(path, "")
    assert file.crs is not None and file.crs.to_epsg() in (32633, 4326) and file.record.as_json() == IN_UTM
    read = file.read().sort_values("id")  # FlatGeobuf sorts spatially
    for name in set(layer.columns) - {"geometry"}:
        assert read[name].tolist() == layer[name].tolist(), name
    in_utm = read.to_crs(32633).geometry.to_numpy()
    assert shapely.bounds(in_utm) == pytest.approx(shapely.bounds(layer.geometry.to_numpy()), abs=2e-3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_parts_have_the_size_asked_for_and_together_are_all(tmp_path: Path, suffix: str) -> None:
    write_layer(many(25), IN_UTM, tmp_path / f"found{suffix}")
    file = open_layer(tmp_path / f"found{suffix}", "")
    parts = list(file.parts(10))
    assert [len(part) for part in parts] == [10, 10, 5]
    assert [one for part in parts for one in part["id"]] == file.read()["id"].tolist()
    assert sorted(file.read()["id"]) == list(range(1, 26))
    assert {str(part.dtypes.to_dict()) for part in parts} == {str(parts[0].dtypes.to_dict())}


@pytest.mark.parametrize("suffix", FORMATS)
def test_only_the_columns_asked_for_are_read(tmp_path: Path, suffix: str) -> None:
    write_layer(layer_at("utm"), IN_UTM, tmp_path / f"found{suffix}")
    read = open_layer(tmp_path / f"found{suffix}", "").read(["score", "class"])
    assert set(read.columns) == {"score", "class", "geometry"} and sorted(read["score"]) == [0.3, 0.5, 0.91]
    assert read["score"].dtype == np.float64


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".fgb", ".csv"])
def test_missing_values_do_not_turn_integers_into_floats(tmp_path: Path, suffix: str) -> None:
    drawn = layer_at("utm").astype({"id": "Int64", "class_id": "Int32"})
    drawn.loc[1, ["id", "class_id", "score"]] = None
    write_layer(drawn, IN_UTM, tmp_path / f"found{suffix}")
    read = open_layer(tmp_path / f"found{suffix}", "").read()
    assert read["class_id"].dropna().tolist() == [1, 1] and read["class_id"].isna().sum() == 1
    assert str(read["id"].dtype) == "Int64" and read["score"].isna().sum() == 1


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_layer_has_no_features(tmp_path: Path, suffix: str) -> None:
    write_layer(layer_at("utm", Detections.empty()), IN_UTM, tmp_path / f"none{suffix}")
    file = open_layer(tmp_path / f"none{suffix}", "")
    assert len(file.read()) == 0 and file.read().crs == file.crs and file.record.as_json() == IN_UTM


def test_layers_of_other_programs_have_an_empty_record(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"type": ["hut"]}, geometry=[SQUARE], crs=32633)
    frame.to_file(tmp_path / "own.gpkg")
    frame.to_crs(4326).to_file(tmp_path / "own.json", driver="GeoJSON")
    frame.to_parquet(tmp_path / "own.parquet")
    for name in ("own.gpkg", "own.json", "own.parquet"):
        file = open_layer(tmp_path / name, "")
        assert file.record.as_json() == {} and file.read()["type"].tolist() == ["hut"]


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_a_description_in_words_is_no_record(tmp_path: Path, suffix: str) -> None:
    frame = geopandas.GeoDataFrame({"type": ["hut"]}, geometry=[SQUARE], crs=32633)
    words = {"DESCRIPTION": "Huts of the north"}
    pyogrio.write_dataframe(frame, tmp_path / f"own{suffix}", layer_options=words)
    file = open_layer(tmp_path / f"own{suffix}", "")
    assert file.record.as_json() == {} and file.read()["type"].tolist() == ["hut"]


def test_a_file_of_another_origin_beside_a_layer_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text('WKT,type\n"POLYGON ((0 0,1 0,1 1,0 0))",hut\n')
    for text in ("", "some words", "[1, 2]"):
        (tmp_path / "own.csv.json").write_text(text)
        file = open_layer(tmp_path / "own.csv", "")
        assert file.record.as_json() == {} and file.crs is None and file.read()["type"].tolist() == ["hut"]


def test_geojson_gives_its_record_under_any_suffix_only_from_before_its_features(tmp_path: Path) -> None:
    write_layer(layer_at("utm"), RECORD, tmp_path / "found.geojson")
    content = json.loads((tmp_path / "found.geojson").read_text())
    (tmp_path / "copy.json").write_text(json.dumps(content))
    assert open_layer(tmp_path / "copy.json", "").record.as_json() == RECORD
    content["features"][0]["properties"]["lcageo"] = {"model": "not the layer's"}
    del content["lcageo"]
    (tmp_path / "copy.geojson").write_text(json.dumps(content))
    assert open_layer(tmp_path / "copy.geojson", "").record.as_json() == {}


def test_geoparquet_without_a_crs_is_in_longitude_and_latitude_unless_it_says_none(tmp_path: Path) -> None:
    plain = geopandas.GeoDataFrame(geometry=[SQUARE])
    plain.to_parquet(tmp_path / "none.parquet")
    assert open_layer(tmp_path / "none.parquet", "").crs is None
    plain.set_crs("OGC:CRS84").to_parquet(tmp_path / "degrees.parquet")
    assert open_layer(tmp_path / "degrees.parquet", "").crs == pyproj.CRS("OGC:CRS84")


def test_what_is_not_one_layer_is_refused(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame(geometry=[SQUARE], crs=32633)
    for name in ("first", "second"):
        frame.to_file(tmp_path / "two.gpkg", layer=name)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "text.gpkg").write_text("no layer")
    (tmp_path / "text.parquet").write_text("no layer")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    cases = {
        "none.gpkg": "does not exist; check the path",
        "two.gpkg": r"has several layers \(first, second\); name one, in quotes",
        "table.csv": "has no layer with geometry; save the layer with its geometry",
        "text.gpkg": "is not a vector layer that can be opened",
        "table.parquet": "is not a vector layer that can be opened",
        "text.parquet": "is not a vector layer that can be opened",
    }
    for name, words in cases.items():
        with pytest.raises(DataError, match=f"^--truth '.*{name}' {words}"):
            open_layer(tmp_path / name, "--truth")


def test_a_truncated_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    write_layer(many(5000), RECORD, tmp_path / "found.fgb")
    content = (tmp_path / "found.fgb").read_bytes()
    (tmp_path / "found.fgb").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"found\.fgb'.* \("):
        open_layer(tmp_path / "found.fgb", "").read()
