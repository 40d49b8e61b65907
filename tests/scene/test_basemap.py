"""Basemaps: only the tiles of the area are asked for, at the zoom that fits, and lie where they belong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyproj
import pytest
from rasterio.windows import Window
from support.layers import LOCAL_WKT
from support.servers import served
from support.tiles import LEFT, MERCATOR, SIDE_M, TOP, ZOOM, bounds_m, gsd_m, picture, write_tiles

from lcageo.errors import ServerError, UsageError
from lcageo.remote import public, scene_name
from lcageo.scene.basemap import HALF_WORLD_M, is_basemap, xyz_definition
from lcageo.scene.raster import open_basemap


def test_an_area_is_read_from_its_own_tiles_alone(tmp_path: Path) -> None:
    pixels = picture()
    write_tiles(tmp_path, pixels)
    area = bounds_m(100, 300, 400, 500)  # of the tiles 0 and 1 across, 1 down
    with served(tmp_path) as server:
        address = "xyz:" + server.url("{z}/{x}/{y}.png?key=secret")
        with open_basemap(address, area, None, gsd_m(), "--bbox") as scene:
            info = scene.info
            read, valid = scene.read(0, 0, info.width, info.height, info.width, info.height)
        asked = {line.partition("?")[0] for line in server.requests()}
    assert abs(info.width - 300) <= 1 and abs(info.height - 200) <= 1 and valid.all()
    x, y = info.georeference.to_map(np.array([0.0]), np.array([0.0]))
    column, row = round((x[0] + HALF_WORLD_M) / SIDE_M * 256) - LEFT * 256, round((HALF_WORLD_M - y[0]) / SIDE_M * 256)
    row -= TOP * 256
    assert np.array_equal(read, np.moveaxis(pixels[row : row + info.height, column : column + info.width], -1, 0))
    assert asked == {f"/{ZOOM}/{LEFT + across}/{TOP + 1}.png" for across in (0, 1)}
    assert info.gsd_m == pytest.approx(gsd_m(), rel=0.01)
    assert "secret" not in info.path and info.name == "127.0.0.1"


def test_tiles_that_a_server_does_not_have_are_without_data(tmp_path: Path) -> None:
    pixels = picture()
    pixels[:, 256:300, 1:] = 0  # bright red is not black
    write_tiles(tmp_path, pixels)
    (tmp_path / str(ZOOM) / str(LEFT) / f"{TOP + 1}.png").unlink()
    with served(tmp_path) as server:
        address = "xyz:" + server.url("{z}/{x}/{y}.png")
        with open_basemap(address, bounds_m(-256, 0, 512, 512), None, gsd_m(), "--bbox") as scene:
            read, valid = scene.read(0, 0, 768, 512, 768, 512)
    expected = np.zeros((512, 768), np.bool_)
    expected[:, 256:] = True  # west of it there is no tile
    expected[256:, 256:512] = False
    assert np.array_equal(valid, expected)
    assert np.array_equal(np.moveaxis(read, 0, -1)[expected], pixels[:512, :512][expected[:, 256:]])


@pytest.mark.parametrize("zoom", [16, 18, 20])
def test_the_zoom_is_the_nearest_to_the_resolution(tmp_path: Path, zoom: int) -> None:
    area = bounds_m(0, 0, 512, 512)
    for wanted in (gsd_m(zoom), gsd_m(zoom + 0.4), gsd_m(zoom - 0.4)):
        with open_basemap("xyz:http://127.0.0.1:9/{z}/{x}/{y}.png", area, MERCATOR, wanted, "--bbox") as scene:
            assert scene.info.gsd_m == pytest.approx(gsd_m(zoom), rel=0.01)
            assert abs(scene.info.width - 512 * 2.0 ** (zoom - ZOOM)) <= 1


def test_gdals_own_definition_is_read_at_one_of_its_levels(tmp_path: Path) -> None:
    """Of a definition in a file, GDAL chooses the level by the reduction that the scene asks for."""
    pixels = picture()
    write_tiles(tmp_path, pixels)
    with served(tmp_path) as server:
        definition = xyz_definition("xyz:" + server.url("{z}/{x}/{y}.png"), ZOOM + 1)
        (tmp_path / "map.xml").write_text(definition)
        assert is_basemap(str(tmp_path / "map.xml"))
        with open_basemap(str(tmp_path / "map.xml"), bounds_m(0, 0, 256, 256), MERCATOR, gsd_m(), "--aoi") as scene:
            assert (scene.info.width, scene.info.height) == (256, 256)
            read, _ = scene.read(0, 0, 256, 256, 256, 256)
        asked = set(server.requests())
    assert np.array_equal(read, np.moveaxis(pixels[:256, :256], -1, 0))
    assert asked == {f"/{ZOOM}/{LEFT}/{TOP}.png"}


CAPABILITIES = """<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1">
<Contents><Layer><ows:Identifier>a</ows:Identifier><Style isDefault="true"><ows:Identifier>default</ows:Identifier>
</Style><Format>image/png</Format><TileMatrixSetLink><TileMatrixSet>g</TileMatrixSet></TileMatrixSetLink><ResourceURL
 format="image/png" resourceType="tile" template="{url}"/></Layer><TileMatrixSet><ows:Identifier>g</ows:Identifier>
<ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>{levels}</TileMatrixSet></Contents></Capabilities>"""
LEVEL = """<TileMatrix><ows:Identifier>{zoom}</ows:Identifier><ScaleDenominator>{scale}</ScaleDenominator>
<TopLeftCorner>-20037508.342789244 20037508.342789244</TopLeftCorner><TileWidth>256</TileWidth>
<TileHeight>256</TileHeight><MatrixWidth>{across}</MatrixWidth><MatrixHeight>{across}</MatrixHeight></TileMatrix>"""


def capabilities(url: str) -> str:
    """Those of a WMTS, whose scales are those of pixels of 0.28 mm."""
    scales = [2 * HALF_WORLD_M / 256 / 0.00028 / 2**zoom for zoom in range(ZOOM + 2)]
    levels = "".join(LEVEL.format(zoom=zoom, scale=scale, across=2**zoom) for zoom, scale in enumerate(scales))
    return CAPABILITIES.format(url=url, levels=levels)


@pytest.mark.parametrize("form", ["file", "WMTS:file", "WMTS:url"])
def test_a_wmts_is_a_basemap(tmp_path: Path, form: str) -> None:
    pixels = picture()
    write_tiles(tmp_path, pixels)
    with served(tmp_path) as server:
        (tmp_path / "a.xml").write_text(capabilities(server.url("{TileMatrix}/{TileCol}/{TileRow}.png")))
        address = form.replace("url", server.url("a.xml")).replace("file", str(tmp_path / "a.xml"))
        assert is_basemap(address)
        with open_basemap(address, bounds_m(0, 0, 256, 256), MERCATOR, gsd_m(), "--aoi") as scene:
            read, valid = scene.read(0, 0, 256, 256, 256, 256)
        asked = set(server.requests())
    assert np.array_equal(read, np.moveaxis(pixels[:256, :256], -1, 0)) and valid.all()
    assert asked - {"/a.xml"} == {f"/{ZOOM}/{LEFT}/{TOP}.png"}


def test_a_basemap_without_a_server_is_told_as_that() -> None:
    definition, area = xyz_definition("xyz:http://127.0.0.1:9/{z}/{x}/{y}.png"), bounds_m(0, 0, 256, 256)
    what = "the server does not answer in time or cannot be reached"
    with open_basemap(definition, area, MERCATOR, gsd_m(), "--aoi") as scene, pytest.raises(ServerError, match=what):
        scene._read(Window(0, 0, 64, 64), (64, 64), {})  # at once, without pauses and further attempts


def test_an_area_in_degrees_is_moved_and_one_without_its_crs_is_refused() -> None:
    address, degrees = "xyz:http://127.0.0.1:9/{z}/{x}/{y}.png", (4.0, 52.0, 4.001, 52.001)
    with open_basemap(address, degrees, pyproj.CRS(4326), 0.5, "--bbox") as scene:
        assert scene.info.width * scene.info.pixel_size_m[0] == pytest.approx(68.7, rel=0.03)  # type: ignore[index]
        assert scene.info.height * scene.info.pixel_size_m[1] == pytest.approx(111.3, rel=0.03)  # type: ignore[index]
    with pytest.raises(UsageError, match=r"--bbox seems to be in degrees.*--bbox-crs EPSG:4326"):
        open_basemap(address, degrees, None, 0.5, "--bbox")
    with pytest.raises(UsageError, match="the area is in 'site grid', from which no transformation leads to 'WGS 84 /"):
        open_basemap(address, degrees, pyproj.CRS(LOCAL_WKT), 0.5, "--aoi")


@pytest.mark.parametrize("address", ["xyz:http://h/{z}/{x}.png", "xyz:http://h/tiles", "xyz:http://h/{z}/{x}/{y}{-y}"])
def test_an_address_without_its_parts_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"needs \{z\}, \{x\} and \{y\} in its address"):
        xyz_definition(address)


def test_secrets_of_an_address_are_not_told() -> None:
    address = "xyz:https://user:word@tiles.org/{z}/{x}/{-y}.png?apikey=abc"
    assert is_basemap(address) and public(address) == "xyz:https://tiles.org/{z}/{x}/{-y}.png"
    assert scene_name(address) == "tiles.org" and "<YOrigin>bottom</YOrigin>" in xyz_definition(address)


@pytest.mark.parametrize("name", ["{s}", "{r}", "{apikey}"])
def test_a_placeholder_that_nobody_fills_in_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"has {re.escape(name)}, but only {{z}}, {{x}} and {{y}} are filled in"):
        xyz_definition(f"xyz:https://{name}.tile.example/{{z}}/{{x}}/{{-y}}.png")
