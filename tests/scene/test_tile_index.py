"""Tile indexes (GTI) made by Debian's gdaltindex, some of whose files are gone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.scenes import UTM, noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene.raster import open_scene
from lcageo.scene.tile_index import TileIndex, beside

SIDE = 64
PIXELS = noise(SIDE, 3 * SIDE)


def tile_index(folder: Path, name: str = "all.gti.gpkg", field: str = "location") -> Path:
    """An index of three files side by side, with names relative to its folder."""
    if shutil.which("gdaltindex") is None:
        pytest.skip("SKIPPED FOR LACK OF gdal-bin")
    folder.mkdir(exist_ok=True)
    for number in range(3):
        part = PIXELS[:, :, number * SIDE : (number + 1) * SIDE]
        write_scene(folder / f"{number}.tif", part, transform=UTM @ UTM.translation(number * SIDE, 0))
    command = ["gdaltindex", "-f", "GPKG", "-lyr_name", "tiles", "-tileindex", field, "made.gpkg"]
    subprocess.run([*command, *(f"{number}.tif" for number in range(3))], cwd=folder, check=True, capture_output=True)
    return (folder / "made.gpkg").rename(folder / name)


def definition(folder: Path, **elements: str) -> Path:
    elements["IndexDataset"] = str(folder / elements["IndexDataset"])
    text = "".join(f"<{name}>{value}</{name}>" for name, value in elements.items())
    (folder / "all.gti").write_text(f"<GDALTileIndexDataset>{text}</GDALTileIndexDataset>")
    return folder / "all.gti"


@pytest.mark.parametrize("name", ["all.gti.gpkg", "b!all.gti.gpkg"])  # pyogrio drops what precedes '!'
@pytest.mark.parametrize("form", ["layer", "prefix", "definition"])
def test_what_a_missing_file_shows_is_not_read_as_black(
    tmp_path: Path, form: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # with the prefix, names are relative to the working folder
    index = tile_index(tmp_path, name)
    address = str(index) if form == "layer" else f"GTI:{index}"
    if form == "definition":
        address = str(definition(tmp_path, IndexDataset=name, IndexLayer="tiles"))
    with open_scene(address) as scene:
        assert scene.info.missing == () and (scene.read(0, 0, 3 * SIDE, SIDE, 3 * SIDE, SIDE)[0] == PIXELS).all()
        assert {Path(file).name for file in scene.files()} >= {name, "0.tif", "2.tif"}
    (tmp_path / "1.tif").unlink()
    with open_scene(address) as scene:
        assert [Path(file).name for file in scene.info.missing] == ["1.tif"]
        for x in (0, 2 * SIDE):
            assert (scene.read(x, 0, SIDE, SIDE, SIDE, SIDE)[0] == PIXELS[:, :, x : x + SIDE]).all()
        for x in (SIDE, SIDE // 2):
            with pytest.raises(SceneError, match=r"1\.tif' does not exist; restore it"):
                scene.read(x, 0, SIDE, SIDE, SIDE, SIDE)


def test_features_that_the_definition_leaves_out_do_not_count(tmp_path: Path) -> None:
    tile_index(tmp_path, field="file")
    (tmp_path / "1.tif").unlink()
    options = {"IndexDataset": "all.gti.gpkg", "IndexLayer": "tiles", "LocationField": "file"}
    with open_scene(definition(tmp_path, **options, Filter="file &lt;&gt; '1.tif'")) as scene:
        assert scene.info.missing == ()
    with open_scene(definition(tmp_path, **options)) as scene:
        assert len(scene.info.missing) == 1


def test_in_a_crs_of_its_own_an_index_is_read_only_if_it_is_complete(tmp_path: Path) -> None:
    tile_index(tmp_path)
    path = definition(tmp_path, IndexDataset="all.gti.gpkg", SRS="EPSG:32633")
    (tmp_path / "2.tif").unlink()
    with open_scene(path) as scene, pytest.raises(SceneError, match=r"2\.tif"):
        scene.read(0, 0, 8, 8, 8, 8)


def test_an_index_that_is_gone_is_named(tmp_path: Path) -> None:
    tile_index(tmp_path).unlink()
    path = definition(tmp_path, IndexDataset="all.gti.gpkg")
    with pytest.raises(SceneError, match=r"its file '.*all\.gti\.gpkg' does not exist; restore it"):
        open_scene(path)


def test_an_index_without_the_field_of_paths_is_refused(tmp_path: Path) -> None:
    index = tile_index(tmp_path)
    with pytest.raises(SceneError, match=r"cannot be checked: it has no field 'path'"):
        TileIndex("", str(index), None, "path", None, True).read()
    with pytest.raises(SceneError, match=r"cannot be checked \(.*other.*\); check it with ogrinfo"):
        TileIndex("", str(index), "other", "location", None, True).read()


def test_names_are_relative_to_the_index_or_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "near").mkdir()
    (tmp_path / "here.tif").touch(), (tmp_path / "near" / "there.tif").touch()
    monkeypatch.chdir(tmp_path)
    assert beside("near", "there.tif") == "near/there.tif"
    assert beside("near", "here.tif") == "here.tif"
    assert beside("near", "gone.tif") == "near/gone.tif"
    assert beside("near", "https://server/a.tif") == "/vsicurl/https://server/a.tif"
