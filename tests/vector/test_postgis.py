"""Tables in a real PostGIS database, inspected with psql."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from support.layers import BOXES, CLASSES, FOUND, UTM33
from support.postgis_server import PASSWORD, Server

from lcageo.detections import Detections
from lcageo.errors import OutputError, UsageError
from lcageo.scene.georef import Georeference
from lcageo.vector.database_table import DatabaseTable
from lcageo.vector.features import features
from lcageo.vector.postgis import TableTransaction, check_crs, check_table
from lcageo.vector.record import RunRecord
from lcageo.vector.target import parse_output

UTM32 = Georeference(pyproj.CRS(32632), rasterio.Affine(0.5, 0, 965_000, 0, -0.5, 5_000_000))
RECORD = {"model": "test", "quote": "it's 100 % {odd} :name \\ ü", "run": "1"}


def table_at(server: Server, name: str) -> DatabaseTable:
    table = parse_output(server.url(name))
    assert isinstance(table, DatabaseTable)
    return table


def layer(place: Georeference = UTM33, found: Detections = FOUND) -> geopandas.GeoDataFrame:
    return features(found, CLASSES, place.to_map, place.crs, "scene-ü")


def write(table: DatabaseTable, *parts: geopandas.GeoDataFrame, record: dict[str, Any] = RECORD) -> None:
    with TableTransaction(table) as transaction:
        transaction.write(parts, RunRecord.from_json(record))
        transaction.commit()


def append(table: DatabaseTable, *parts: geopandas.GeoDataFrame, record: dict[str, Any] = RECORD) -> None:
    with TableTransaction(table) as transaction:
        transaction.append(parts, RunRecord.from_json(record))
        transaction.commit()


def comment(server: Server, name: str) -> Any:
    ((text,),) = server.rows(f"SELECT replace(obj_description('{name}'::regclass), chr(9), ' ')")
    return json.loads(text)["lcageo"]


@pytest.mark.parametrize("name", ["found", 'od"d Näme {s} :x', "x" * 50, "select"])
def test_psql_reads_what_was_written(postgis: Server, name: str) -> None:
    from urllib.parse import quote

    write(table_at(postgis, quote(name)), layer())
    quoted = '"' + name.replace('"', '""') + '"'
    rows = postgis.rows(
        "SELECT id, class, class_id, score, width_m, scene, ST_SRID(geometry), ST_AsText(ST_Envelope(geometry)) "
        f"FROM {quoted} ORDER BY id"
    )
    assert [row[:4] for row in rows] == [["1", "storage tank", "1", "0.91"], ["2", "ship", "0", "0.5"],
                                         ["3", "storage tank", "1", "0.3"]]  # fmt: skip
    assert {row[5] for row in rows} == {"scene-ü"} and {row[6] for row in rows} == {"32633"}
    for row, box in zip(rows, BOXES.tolist(), strict=True):
        x1, y1, x2, y2 = box
        by_hand = (500_000 + x1 / 2, 5_000_000 - y2 / 2, 500_000 + x2 / 2, 5_000_000 - y1 / 2)
        assert shapely.from_wkt(row[7]).bounds == pytest.approx(by_hand)
    assert comment(postgis, quoted) == RECORD
    kind = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'geometry' AND attrelid = "
    assert postgis.rows(f"{kind}'{quoted}'::regclass") == [["geometry(Polygon,32633)"]]
    indexed = postgis.rows(f"SELECT indexdef FROM pg_indexes WHERE tablename = $x${name}$x$")
    assert any("USING gist" in line for (line,) in indexed) and any("UNIQUE" in line for (line,) in indexed)


def test_an_empty_layer_is_a_table_to_append_to(postgis: Server) -> None:
    table = table_at(postgis, "nothing")
    write(table, layer(found=Detections.empty()))
    append(table, layer(), layer(found=FOUND.selected(np.array([0]))))
    assert postgis.rows("SELECT id FROM nothing ORDER BY id") == [["1"], ["2"], ["3"], ["4"]]


def test_appended_objects_are_in_the_tables_crs_with_the_next_ids_and_both_records(postgis: Server) -> None:
    table = table_at(postgis, "joined")
    write(table, layer())
    append(table, layer(UTM32), record={"model": "other", "run": "2"})
    rows = postgis.rows("SELECT id, ST_SRID(geometry), ST_X(ST_Centroid(geometry)) FROM joined ORDER BY id")
    assert [row[:2] for row in rows] == [[str(number), "32633"] for number in range(1, 7)]
    centres = layer(UTM32).to_crs(32633).geometry.centroid.x
    assert [float(row[2]) for row in rows[3:]] == pytest.approx(centres.tolist(), abs=1e-3)
    assert comment(postgis, "joined") == {**RECORD, "appended": [{"model": "other", "run": "2"}]}
    with TableTransaction(table) as transaction:
        there = transaction.look()
    assert (there.features, there.last_id, there.class_ids) == (6, 6, {"ship": 0, "storage tank": 1})
    assert there.has_run("1") and there.has_run("2") and not there.has_run("3")


def test_a_failure_leaves_the_table_as_it_was(postgis: Server) -> None:
    table = table_at(postgis, "kept")
    write(table, layer())
    before = postgis.rows("SELECT * FROM kept ORDER BY id")

    def failing() -> Iterator[geopandas.GeoDataFrame]:
        yield layer()
        raise OutputError("the journal cannot be read")

    for change in ("write", "append"):
        with pytest.raises(OutputError, match="the journal"), TableTransaction(table) as transaction:
            getattr(transaction, change)(failing(), RunRecord.from_json(RECORD))
            transaction.commit()
        with TableTransaction(table) as transaction:  # nobody commits
            getattr(transaction, change)([layer()], RunRecord.from_json(RECORD))
        assert postgis.rows("SELECT * FROM kept ORDER BY id") == before and comment(postgis, "kept") == RECORD
    postgis.rows("CREATE VIEW on_it AS SELECT * FROM kept")
    with pytest.raises(OutputError, match="other objects depend on it"):
        write(table, layer())
    assert postgis.rows("SELECT * FROM kept ORDER BY id") == before


def test_what_does_not_fit_is_refused(postgis: Server) -> None:
    table = table_at(postgis, "strict")
    write(table, layer())
    turned = features(FOUND, CLASSES[::-1], UTM33.to_map, UTM33.crs, "s")
    with pytest.raises(UsageError, match="class_id of 'ship' would be 1, but in the layer 'ship' is 0"):
        append(table, turned)
    with pytest.raises(UsageError, match="no column colour"):
        append(table, layer().assign(colour="red"))
    with pytest.raises(UsageError, match="only the layer has a CRS"):
        append(table, layer(Georeference(None)))
    postgis.rows("CREATE TABLE accounts (id int)")
    with pytest.raises(UsageError, match="not a table with a column 'geometry'"):
        append(table_at(postgis, "accounts"), layer())
    local = pyproj.CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    with pytest.raises(OutputError, match="requires a CRS with an EPSG code, but site grid has none"):
        check_crs(local, table)


def test_pixels_and_degrees_have_their_numbers(postgis: Server) -> None:
    write(table_at(postgis, "pixels"), layer(Georeference(None)))
    write(table_at(postgis, "degrees"), layer().to_crs("OGC:CRS84"))
    assert postgis.rows("SELECT DISTINCT ST_SRID(geometry), area_m2 IS NULL FROM pixels") == [["0", "t"]]
    ((srid, x),) = postgis.rows("SELECT ST_SRID(geometry), ST_X(ST_Centroid(geometry)) FROM degrees WHERE id = 1")
    assert srid == "4326" and 14.9 < float(x) < 15.1


def test_an_existing_table_is_refused_unless_allowed(postgis: Server) -> None:
    table = table_at(postgis, "there")
    check_table(table, may_be_there=False)
    write(table, layer())
    with pytest.raises(UsageError, match="exists; use --overwrite to replace it, --append to add to it"):
        check_table(table, may_be_there=False)
    check_table(table, may_be_there=True)


def test_errors_say_what_to_do_and_not_the_password(postgis: Server) -> None:
    wrong = parse_output(postgis.url("t", password=PASSWORD + "wrong"))
    plain = parse_output(postgis.url("t", database="plain"))
    nobody = parse_output(f"postgresql://ann:hidden-word@127.0.0.1:{postgis.port + 1}/gis?table=t&connect_timeout=3")
    for table, message in (
        (wrong, "password authentication failed"),
        (plain, "needs PostGIS: run CREATE EXTENSION postgis"),
        (nobody, "refused"),
    ):
        assert isinstance(table, DatabaseTable)
        with pytest.raises(OutputError, match=message) as refused:
            check_table(table, may_be_there=False)
        line = str(refused.value)
        assert "w@rd" not in line and "w%40rd" not in line and "hidden-word" not in line and "\n" not in line


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcageo.vector.postgis.PACKAGES", ("sqlalchemy", "no_such_driver"))
    table = parse_output("postgresql://ann:hidden-word@nowhere/gis?table=t")
    assert isinstance(table, DatabaseTable)
    with pytest.raises(UsageError, match=r"requires no_such_driver: pip install .lcageo\[postgis\]"):
        TableTransaction(table)
