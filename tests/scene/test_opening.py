from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.scenes import noise, write_scene
from support.servers import served

from lcageo.errors import SceneError
from lcageo.remote import quoted
from lcageo.scene.opening import open_dataset
from lcageo.scene.raster import open_scene


def test_vrt_and_gdal_paths_open(tmp_path: Path) -> None:
    import zipfile

    path = write_scene(tmp_path / "a.tif", noise(20, 20))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.tif")
    with open_scene(f"/vsizip/{tmp_path}/a.zip/a.tif") as scene:
        assert scene.info.width == 20
    from rasterio.shutil import copy

    copy(path, tmp_path / "a.vrt", driver="VRT")
    with open_scene(tmp_path / "a.vrt") as scene:
        assert scene.info.driver == "VRT"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="does not exist"):
        open_scene(tmp_path / "none.tif")


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"\\udcff.tif' has a name that is not UTF-8"):
        open_scene(tmp_path / os.fsdecode(b"\xff.tif"))


def test_not_a_raster(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("hello")
    with pytest.raises(SceneError, match="not a raster"):
        open_scene(tmp_path / "a.tif")


def test_a_file_that_looks_like_a_signed_url_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "https://host/a.tif?sig=b"
    (tmp_path / "https:" / "host").mkdir(parents=True)
    write_scene(tmp_path / name, noise(20, 20))
    with open_dataset(name) as dataset:
        assert dataset.width == 20
    with open_scene(name) as scene:
        assert scene.info.path == name


@pytest.mark.parametrize("name", ["my scene.tif", "Zürich.tif", "scene;v=2.tif", "my%20scene.tif"])
def test_any_url_is_asked_for_as_a_browser_does(tmp_path: Path, name: str) -> None:
    pixels = noise(20, 20)
    write_scene(tmp_path / quoted(name), pixels)  # the server looks for the path of the request
    with served(tmp_path) as server, open_scene(server.url(name)) as scene:
        assert (scene.read(0, 0, 20, 20, 20, 20)[0] == pixels).all()
        assert scene.is_remote
