"""STAC items as scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scenes import noise, write_scene
from support.servers import served
from support.stac_items import TIFF, write_item

from lcageo.errors import SceneError, ServerError
from lcageo.scene.located import SceneSource, locate
from lcageo.scene.raster import open_scene


@pytest.fixture
def item(tmp_path: Path) -> Path:
    write_scene(tmp_path / "rgb.tif", noise(60, 50))
    assets = {
        "thumbnail": {"href": "t.png", "type": "image/png", "roles": ["thumbnail"]},
        "B04": {"href": "./red.tif", "type": TIFF, "roles": ["data"]},
        "visual": {"href": "./rgb.tif", "type": TIFF, "roles": ["visual"]},
    }
    return write_item(tmp_path / "item.json", assets)


def test_the_visual_asset_is_the_scene(item: Path) -> None:
    with open_scene(item) as scene, open_scene(item.with_name("rgb.tif")) as plain:
        assert scene.info.item == "S2A_1" and scene.info.path == str(item) and plain.info.item is None
        assert np.array_equal(scene.read(0, 0, 50, 60, 50, 60)[0], plain.read(0, 0, 50, 60, 50, 60)[0])


def test_an_item_on_a_server_names_its_asset_there(item: Path) -> None:
    with served(item.parent) as server:
        assert locate(server.url("item.json")) == SceneSource(server.url("item.json"), server.url("rgb.tif"), "S2A_1")
        with open_scene(server.url("item.json")) as scene:
            assert (scene.info.width, scene.info.height, scene.info.item) == (50, 60, "S2A_1")
        with pytest.raises(ServerError, match=r"none.json' cannot be opened: HTTP Error 404"):
            locate(server.url("none.json"))


def test_one_raster_needs_no_mark_and_of_several_one_must_be_named(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(20, 20))
    one = write_item(tmp_path / "one.json", {"image": {"href": "a.tif", "type": TIFF}, "meta": {"href": "m.xml"}})
    assert locate(str(one)).address == str(tmp_path / "a.tif")
    bands = {name: {"href": f"s3://bucket/{name}.tif", "type": TIFF} for name in ("B02", "B03")}
    several = write_item(tmp_path / "several.json", bands)
    with pytest.raises(SceneError, match=r"no asset that is marked visual.*B02 \(s3://bucket/B02.tif\), B03"):
        locate(str(several))
    with pytest.raises(SceneError, match="instead: none"):
        locate(str(write_item(tmp_path / "empty.json", {})))


def test_other_json_is_left_to_gdal(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "b.json").write_text("no JSON")
    for name in ("a.json", "b.json"):
        path = str(tmp_path / name)
        assert locate(path) == SceneSource(path, path)


def test_an_item_is_smaller_than_its_scene(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(512, 512), tiled=True, blockxsize=16, blockysize=16)  # 1,024 blocks
    item = write_item(tmp_path / "item.json", {"visual": {"href": "a.tif", "type": TIFF, "roles": ["visual"]}})
    with open_scene(item) as scene:
        assert (scene.info.width, scene.info.path) == (512, str(item))
