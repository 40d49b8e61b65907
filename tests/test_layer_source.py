"""Where a layer is read from: files, layers in files, URLs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import geopandas
import pytest
import shapely
from support.servers import served

from lcageo.errors import DataError, UsageError
from lcageo.layer_source import LayerSource
from lcageo.remote import is_remote, public
from lcageo.vector.area import Area
from lcageo.vector.polygons import read_polygons
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


@pytest.mark.parametrize(
    ("source", "layer", "subset"),
    [
        ("a.gpkg|layername=cars|geometrytype=Polygon", "cars", None),
        ("a.gpkg|layername=cars|subset=\"a\" = '|layername='", "cars", "\"a\" = '|layername='"),
        ("a.gpkg|layername=cars|subset=a > 1|geometrytype=Polygon|uniqueGeometryType=yes", "cars", "a > 1"),
        ("a.gpkg|geometrytype=Polygon|layername=cars|subset=a > 1\nAND a < 3", "cars", "a > 1\nAND a < 3"),
        ("a.gpkg|subset=a > 1", None, "a > 1"),
        ("a.gpkg|option:LIST_ALL_TABLES=YES|layername=cars|subset=", "cars", None),
    ],
)
def test_a_source_is_read_as_qgis_writes_it(source: str, layer: str | None, subset: str | None) -> None:
    found = LayerSource.of(Path(source))
    assert (str(found.path), found.layer, found.subset) == ("a.gpkg", layer, subset)


def test_what_is_not_understood_of_a_source_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'a.gpkg\|layerid=1': name the layer, with '\|layername=NAME'"):
        LayerSource.of(Path("a.gpkg|layerid=1"))
    with pytest.raises(UsageError, match=r"the filter of 'a\.gpkg' is a query, not a condition .* save the selection"):
        LayerSource.of(Path("a.gpkg|layername=cars|subset=SELECT * FROM cars"))


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "geojson", "fgb", "csv"])
def test_a_filter_applies_wherever_the_layer_is_read(tmp_path: Path, suffix: str) -> None:
    frame = geopandas.GeoDataFrame({"class": ["car", "tree"]}, geometry=BOXES, crs=4326)
    if suffix == "csv":
        frame.assign(WKT=frame.geometry.to_wkt()).drop(columns="geometry").to_csv(tmp_path / "a.csv", index=False)
    else:
        frame.to_file(tmp_path / f"a.{suffix}")
    source = Path(f"{tmp_path}/a.{suffix}|layername=a|subset=\"class\" = 'tree'")
    layer, _ = open_layer(source, "").as_objects()
    assert layer.read()["class"].tolist() == ["tree"]
    assert [shape.equals(BOXES[1]) for shape in read_polygons(source, "--labels").shapes] == [True]
    assert Area.read(source).shape.equals(BOXES[1])
    with pytest.raises(DataError, match="kind"):
        open_layer(Path(f"{tmp_path}/a.{suffix}|layername=a|subset=kind = 1"), "").read()


def test_an_archive_is_named_by_its_absolute_path_or_its_relative_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pathlib makes one slash of the two in /vsizip//home/a.zip."""
    geopandas.GeoDataFrame(geometry=BOXES, crs=4326).to_file(tmp_path / "a.geojson")
    (tmp_path / "sub").mkdir()
    with zipfile.ZipFile(tmp_path / "sub" / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.geojson", "inside/a.geojson")
    monkeypatch.chdir(tmp_path)
    for name in (f"/vsizip/{tmp_path}/sub/a.zip", "/vsizip/sub/a.zip", f"/vsizip/{{{tmp_path}/sub/a.zip}}"):
        assert len(open_layer(Path(f"{name}/inside/a.geojson"), "").read()) == 2, name
    with served(tmp_path) as server:
        assert len(open_layer(Path(f"/vsizip//vsicurl/{server.url('sub/a.zip')}/inside/a.geojson"), "").read()) == 2
    with pytest.raises(DataError, match="is not a vector layer that can be opened"):
        open_layer(Path("/vsizip/none.zip/a.geojson"), "")


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
