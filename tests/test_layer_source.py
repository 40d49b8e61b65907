"""Where a layer is read from: files, layers in files, URLs."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
import shapely
from support.servers import served

from lcageo.errors import DataError
from lcageo.layer_source import LayerSource
from lcageo.remote import is_remote, public
from lcageo.vector.area import Area
from lcageo.vector.read import open_layer
from lcageo.vector.target import layer_files

BOXES = [shapely.box(0, 0, 1, 1), shapely.box(3, 3, 4, 5)]


def _two_layers(path: Path) -> Path:
    for name, shapes in (("cars", BOXES), ("area", BOXES[:1])):
        frame = geopandas.GeoDataFrame({"class": [name] * len(shapes)}, geometry=shapes, crs="EPSG:32633")
        frame.to_file(path, layer=name)
    return path


def test_a_layer_is_named_as_qgis_does(tmp_path: Path) -> None:
    path = _two_layers(tmp_path / "all.gpkg")
    for name, count in (("cars", 2), ("area", 1)):
        layer = open_layer(Path(f"{path}|layername={name}"), "--labels")
        assert (
            layer.read()["class"].tolist() == geopandas.read_file(path, layer=name)["class"].tolist() == [name] * count
        )
    assert Area.read(Path(f"{path}|layername=area")).shape.area == 1


def test_of_several_layers_one_must_be_named_and_exist(tmp_path: Path) -> None:
    path = _two_layers(tmp_path / "all.gpkg")
    with pytest.raises(DataError, match=r"several layers \(cars, area\); name one.*'all.gpkg\|layername=cars'"):
        open_layer(path, "--labels")
    with pytest.raises(DataError, match="has no layer of this name, only cars, area"):
        open_layer(Path(f"{path}|layername=ships"), "--labels")


def test_a_file_may_itself_have_such_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a|layername=b.geojson"
    geopandas.GeoDataFrame(geometry=BOXES, crs=4326).to_file(path)
    assert LayerSource.of(path) == LayerSource(path, None, None)
    assert len(open_layer(path, "").read()) == 2


def test_what_qgis_appends_behind_the_name_is_left_out() -> None:
    assert LayerSource.of(Path("a.gpkg|layername=cars|geometrytype=Polygon")).layer == "cars"


def test_layers_are_read_from_servers(tmp_path: Path) -> None:
    geopandas.GeoDataFrame(geometry=BOXES, crs="EPSG:32633").to_file(tmp_path / "a.gpkg")
    geopandas.GeoDataFrame(geometry=BOXES, crs=4326).to_file(tmp_path / "a.geojson")
    with served(tmp_path) as server:
        for name in ("a.gpkg", "a.geojson", "a.gpkg|layername=a"):
            assert len(open_layer(Path(server.url(name)), "--labels").read()) == 2
        assert Area.read(Path(server.url("a.geojson"))).shape.area == 3
        assert layer_files(Path(server.url("a.gpkg"))) == []
        with pytest.raises(DataError, match=rf"--labels 'http://127.0.0.1:{server.port}/none.gpkg' is not a vector"):
            open_layer(Path(server.url("none.gpkg")), "--labels")
        geopandas.GeoDataFrame(geometry=BOXES, crs=4326).to_parquet(tmp_path / "a.parquet")
        with pytest.raises(DataError, match=r"GeoParquet.*download it first"):
            open_layer(Path(server.url("a.parquet")), "--labels")


def test_secrets_of_a_url_stay_out_of_messages_and_records() -> None:
    path = Path("https://user:word@host/a.gpkg?token=abc")
    assert str(LayerSource.of(path)) == "https://host/a.gpkg"
    assert is_remote(str(path)) and "abc" not in public(str(path)) and "word" not in public(str(path))
