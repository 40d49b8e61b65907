"""Layers read part by part, of our own writing and of other programs."""

from __future__ import annotations

import datetime
import decimal
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow
import pyogrio
import pyproj
import pytest
import shapely
from support.domains import add_domain
from support.layers import CLASSES, FOUND, RECORD, UTM33, layer_at, write_layer

from lcageo.detections import Detections
from lcageo.errors import DataError
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS
from lcageo.vector.read import LayerFile, open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer as write_parts

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


@pytest.mark.parametrize("name", ["found", "features"])
def test_geojson_gives_a_record_of_any_length(tmp_path: Path, name: str) -> None:
    runs = [{"model": "ü" * 20_000, "thresholds": {"features": 0.5}} for _ in range(60)]
    record = {"model": "m", "thresholds": {"features": 0.25}, "appended": runs}
    write_layer(layer_at("utm"), record, tmp_path / f"{name}.geojson")
    assert (tmp_path / f"{name}.geojson").stat().st_size > 2**21
    read = open_layer(tmp_path / f"{name}.geojson", "").record
    assert read.as_json() == record and read.least_scores() == {"features": 0.25}


def test_the_lcageo_of_a_single_feature_is_no_record(tmp_path: Path) -> None:
    feature = {"type": "Feature", "properties": {"lcageo": RECORD}, "geometry": shapely.geometry.mapping(SQUARE)}
    (tmp_path / "one.geojson").write_text(json.dumps(feature))
    assert open_layer(tmp_path / "one.geojson", "").record.as_json() == {}


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
        "table.parquet": "is plain Parquet, whose geometry nothing describes",
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


def written(path: Path, crs: int | None = 32633, **columns: Any) -> LayerFile:
    count = len(next(iter(columns.values())))
    shapes = [shapely.transform(SQUARE, lambda points, at=at: points + 20 * at) for at in range(count)]
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return open_layer(path, "")


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".parquet", ".fgb"])
@pytest.mark.parametrize(
    "values",
    [[1000001.0, 1000002.0], [1000001, 1000002], ["1000001 ", " 1000002"], np.array([1000001, 1000002], np.float32)],
    ids=["real", "integer", "text", "float32"],
)
def test_classes_are_text_whatever_the_type_of_their_column(tmp_path: Path, suffix: str, values: Any) -> None:
    layer, _ = written(tmp_path / f"a{suffix}", **{"class": values}).as_objects()
    read = layer.read()["class"]
    assert sorted(read) == ["1000001", "1000002"] and read.dtype == "str"


def test_a_missing_class_stays_missing(tmp_path: Path) -> None:
    layer, _ = written(tmp_path / "a.gpkg", label=pd.array([1, None], "Int64")).as_objects()
    read = layer.read()["class"]
    assert read[0] == "1" and read.isna().tolist() == [False, True]


@pytest.mark.parametrize("suffix", [".geojson", ".parquet"])
@pytest.mark.parametrize(("field", "name"), [(None, "a"), ("class", "a"), ("Class", "b"), ("CLASS", "a")])
def test_of_names_that_differ_in_case_the_exact_one_is_meant(
    tmp_path: Path, suffix: str, field: str | None, name: str
) -> None:
    for order in (("class", "Class"), ("Class", "class")):
        columns = {key: [{"class": "a", "Class": "b"}[key]] for key in order}
        layer, _ = written(tmp_path / f"{order[0]}{suffix}", **columns).as_objects(field)
        expected = "b" if field == "CLASS" and order[0] == "Class" else name  # neither is exact: the first
        assert layer.read()["class"].tolist() == [expected]


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_columns_of_other_programs_with_our_names_are_kept_under_another(tmp_path: Path, suffix: str) -> None:
    layer = written(tmp_path / f"a{suffix}", class_id=["q"], area_m2=["large"], id=["x"], score=[0.5], width_m=[2])
    read = layer.read().drop(columns="geometry").iloc[0].to_dict()
    assert read == {"class_id_own": "q", "area_m2_own": "large", "id": "x", "score": 0.5, "width_m": 2}


def test_an_attribute_called_geometry_is_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame({"geometry": ["curved"], "WKT": [SQUARE.wkt]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    read = open_layer(tmp_path / "a.csv", "").read()
    assert read["geometry_own"].tolist() == ["curved"] and read.geometry.tolist() == [SQUARE]


def test_scores_are_from_0_to_1_or_it_is_told(tmp_path: Path) -> None:
    for name, scores, expected, words in (
        ("share", [0.9, 0.5], [0.9, 0.5], None),
        ("fused", [1.02, 0.5], [1.02, 0.5], None),
        ("cent", [90, 50], [0.9, 0.5], "they are taken for per cent"),
        ("byte", [230, 50], [230, 50], "go up to 230: they are neither from 0 to 1 nor per cent"),
        ("comma", ["0,9", "0,5"], [0.9, 0.5], None),
        ("sign", ["90%", "50 %"], [0.9, 0.5], None),
        ("text", ["90", "50"], [0.9, 0.5], "they are taken for per cent"),
    ):
        layer, notes = written(tmp_path / f"{name}.gpkg", score=scores).as_objects()
        assert layer.read()["score"].tolist() == pytest.approx(expected), name
        assert [line for line in notes if words is not None and words in line] == list(notes), name
        assert bool(notes) == (words is not None), name


def test_parts_without_any_score_do_not_hide_the_highest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerFile.parts, "__defaults__", (2, None))
    layer, notes = written(tmp_path / "a.gpkg", score=[None, None, 90.0, 50.0, None, None]).as_objects()
    assert "they are taken for per cent" in notes[0] and layer.read()["score"].max() == 0.9


@pytest.mark.parametrize("scores", [[0.5, 0.5, float("inf")], ["0.5", "0.5", "high"]])
def test_a_score_that_is_no_number_is_refused_with_its_place(tmp_path: Path, scores: list[Any]) -> None:
    layer = written(tmp_path / "a.gpkg", score=scores)
    with pytest.raises(DataError, match=r"a\.gpkg': feature 3 has the score '(inf|high)', not a number; fix it, or"):
        layer.as_objects()
    marked = replace(layer, record=RunRecord.from_json(RECORD))  # of lcageo: not looked at before it is read
    with pytest.raises(DataError, match="feature 3 has the score"):
        list(marked.as_objects()[0].parts(2))


def test_text_in_an_unknown_encoding_is_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"class": ["Bäume"]}, geometry=[SQUARE], crs=32633)
    frame.to_file(tmp_path / "a.shp", encoding="cp1252")
    (tmp_path / "a.cpg").unlink()
    table = bytearray((tmp_path / "a.dbf").read_bytes())
    table[29] = 0  # where a dBase table may name its code page
    (tmp_path / "a.dbf").write_bytes(table)
    text = frame.to_crs(4326).to_json(ensure_ascii=False)
    (tmp_path / "a.geojson").write_bytes(text.encode("cp1252"))
    for name, words in (("a.shp", r"name its encoding in '.*a\.cpg'"), ("a.geojson", "save it in UTF-8")):
        layer = open_layer(tmp_path / name, "")
        for read in (layer.read, lambda layer=layer: layer.as_objects()[0].read()):
            with pytest.raises(DataError, match=f"has text in an unknown encoding, not UTF-8; {words}"):
                read()
    (tmp_path / "a.cpg").write_text("1252")
    assert open_layer(tmp_path / "a.shp", "").read()["class"].tolist() == ["Bäume"]


@pytest.mark.parametrize("kind", ["CURVEPOLYGON({})", "MULTISURFACE(CURVEPOLYGON({}))"])
def test_curves_become_polygons(tmp_path: Path, kind: str) -> None:
    """GDAL reads them from text; a circle of radius 5 is compared with shapely's."""
    circles = [f"CIRCULARSTRING({x} 0,{x + 5} 5,{x + 10} 0,{x + 5} -5,{x} 0)" for x in (0, 100, 200)]
    shapes = [kind.format(circle) for circle in circles] + ["POLYGON((0 50,9 50,9 59,0 50))"]
    frame = pd.DataFrame({"class": ["a", "b", "c", "d"], "WKT": shapes})
    frame.to_csv(tmp_path / "a.csv", index=False)
    for count in (2, 50):
        read = pd.concat(list(open_layer(tmp_path / "a.csv", "").parts(count)), ignore_index=True)
        assert read["class"].tolist() == ["a", "b", "c", "d"]
        for place, shape in zip((5, 105, 205), read.geometry, strict=False):
            circle = shapely.Point(place, 0).buffer(5, quad_segs=64)
            assert shapely.area(shapely.symmetric_difference(shape, circle)) < 0.1
        assert read.geometry[3].equals(shapely.Polygon([(0, 50), (9, 50), (9, 59)]))


def test_geometries_that_are_neither_are_refused_with_a_remedy(tmp_path: Path) -> None:
    surface = "POLYHEDRALSURFACE Z (((0 0 0,0 1 0,1 1 0,0 0 0)),((0 0 0,0 1 0,0 0 1,0 0 0)))"
    pd.DataFrame({"WKT": [surface]}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"geometries of a kind that cannot be read .*'ogr2ogr -nlt MULTIPOLYGON"):
        open_layer(tmp_path / "a.csv", "").read()


def test_the_crs_of_a_csv_file_is_that_of_the_prj_beside_it(tmp_path: Path) -> None:
    pd.DataFrame({"class": ["a"], "WKT": [SQUARE.wkt]}).to_csv(tmp_path / "a.csv", index=False)
    assert open_layer(tmp_path / "a.csv", "").crs is None
    (tmp_path / "a.prj").write_text(pyproj.CRS(32633).to_wkt("WKT1_ESRI"))
    crs = open_layer(tmp_path / "a.csv", "").crs
    assert crs is not None and crs.to_epsg(20) == 32633


def stored(path: Path, **columns: Any) -> Path:
    """A GeoPackage of three squares with attributes of any Arrow type."""
    table = pyarrow.table({**columns, "geom": pyarrow.array([SQUARE.wkb] * 3, pyarrow.binary())})
    how = {"driver": "GPKG", "geometry_name": "geom", "geometry_type": "Polygon", "crs": "EPSG:32633"}
    pyogrio.write_arrow(table, path, **how)
    return path


def test_decimals_are_numbers_like_others(tmp_path: Path) -> None:
    """As DuckDB writes them into GeoParquet."""
    layer = many(3).assign(id=[decimal.Decimal("1"), None, decimal.Decimal("3")])
    layer.to_parquet(tmp_path / "a.parquet")
    assert pyarrow.types.is_decimal(pyarrow.parquet.read_schema(tmp_path / "a.parquet").field("id").type)
    ids = open_layer(tmp_path / "a.parquet", "").read()["id"]
    assert ids.dtype == np.float64 and ids.iloc[[0, 2]].tolist() == [1, 3] and np.isnan(ids.iloc[1])


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet"])
def test_long_decimals_of_other_programs_keep_their_digits(tmp_path: Path, suffix: str) -> None:
    number = decimal.Decimal("12345678901234567891")
    many(3).assign(parcel=[number, None, decimal.Decimal(3)]).to_parquet(tmp_path / "a.parquet")
    write_parts(open_layer(tmp_path / "a.parquet", "").parts(), RunRecord(), FileTarget.of(tmp_path / f"b{suffix}"))
    (first, *_) = open_layer(tmp_path / f"b{suffix}", "").read()["parcel"].dropna()
    assert str(first) == str(number)


DAYS = [datetime.date(2026, 1, 2), None, datetime.date(2026, 3, 4)]


@pytest.mark.parametrize("days", [DAYS, [None] * 3, [None, None, DAYS[0]]])
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".shp"])
def test_dates_and_bytes_keep_their_types_in_parts_without_any(tmp_path: Path, suffix: str, days: list[Any]) -> None:
    rows = {"day": pyarrow.array(days, pyarrow.date32()), "raw": pyarrow.array([None, b"x", None], pyarrow.binary())}
    if suffix in (".shp", ".fgb"):
        del rows["raw"]
    layer = open_layer(stored(tmp_path / "a.gpkg", **rows), "")
    write_parts(layer.parts(count=1), RunRecord(), FileTarget.of(tmp_path / f"b{suffix}"))
    again = open_layer(tmp_path / f"b{suffix}", "").read()
    assert [None if pd.isna(day) else pd.Timestamp(day).date() for day in again["day"]] == days
    if "raw" in rows:
        assert [None if pd.isna(value) else value for value in again["raw"]] == [None, b"x", None]


@pytest.mark.parametrize(("name", "expected"), [("kind", [1, 5]), ("class", ["car", "lorry"])])
def test_codes_of_a_domain_are_read_as_they_are_stored_but_for_classes(
    tmp_path: Path, name: str, expected: list[Any]
) -> None:
    """As Esri's and QGIS's: GDAL gives the descriptions, in a dictionary with gaps where there are no codes."""
    names = {1: "car", 5: "lorry"}
    path = add_domain(stored(tmp_path / "a.gpkg", **{name: pyarrow.array([1, 5, None], pyarrow.int32())}), name, names)
    with pyogrio.open_arrow(path, use_pyarrow=True) as (_, rows):
        assert pyarrow.types.is_dictionary(rows.schema.field(name).type)
    values = open_layer(path, "").read()[name]
    assert values.iloc[:2].tolist() == expected and pd.isna(values.iloc[2])
    # Codes beyond the domain, which no format forbids, have no name.
    path = add_domain(stored(tmp_path / "b.gpkg", **{name: pyarrow.array([1, 9, -1], pyarrow.int32())}), name, names)
    assert open_layer(path, "").read()[name].map(str).tolist() == [str(expected[0]), "9", "-1"]


def test_text_in_a_csv_file_stays_text(tmp_path: Path) -> None:
    head, shape = "WKT,id,class_id,area_m2,class\n", '"POLYGON ((0 0,0 1,1 1,0 0))"'
    (tmp_path / "a.csv").write_text(f"{head}{shape},way/123,car,1.5,x\n{shape},12.5,,,y\n")
    (tmp_path / "b.csv").write_text(f"{head}{shape},7,1,1.5,x\n{shape},NA,,n/a,y\n")
    text, numbers = (open_layer(tmp_path / name, "").read() for name in ("a.csv", "b.csv"))
    assert text["id"].tolist() == ["way/123", "12.5"] and text["class_id_own"].tolist()[0] == "car"
    assert text["area_m2"].tolist()[0] == 1.5
    assert numbers["id"].tolist()[0] == 7 and pd.isna(numbers["id"].iloc[1]) and numbers["id"].dtype == "Int64"


@pytest.mark.parametrize("suffix", [".geojson", ".json"])
def test_pixels_in_geojson_have_no_crs(tmp_path: Path, suffix: str) -> None:
    layer = features(FOUND, CLASSES, lambda xs, ys: (xs, ys), None, "photo")
    write_layer(layer, {"model": "a", "crs": None}, tmp_path / "a.geojson")
    path = (tmp_path / "a.geojson").rename(tmp_path / f"b{suffix}")
    assert open_layer(path, "").record.of_pixels and open_layer(path, "").crs is None


@pytest.mark.parametrize("suffix", FORMATS)
def test_heights_are_no_obstacle(tmp_path: Path, suffix: str) -> None:
    layer = many(5)
    raised = layer.set_geometry(geopandas.GeoSeries(shapely.force_3d(layer.geometry.to_numpy(), 7.0), crs=layer.crs))
    write_parts([raised], RunRecord.from_json(IN_UTM), FileTarget.of(tmp_path / f"a{suffix}"))
    again = open_layer(tmp_path / f"a{suffix}", "").read()
    assert len(again) == 5
