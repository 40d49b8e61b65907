"""Tile indexes (GTI) made by Debian's gdaltindex, some of whose files are gone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely
from support.scenes import UTM, noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene.raster import open_scene
from lcageo.scene.tile_index import TileIndex, beside

SIDE = 64
PIXELS = noise(SIDE, 3 * SIDE)


def tile_index(folder: Path, name: str = "all.gti.gpkg", field: str = "location", stem: str = "") -> Path:
    """An index of three files side by side, with names relative to its folder, that begin with `stem`."""
    if shutil.which("gdaltindex") is None:
        pytest.skip("SKIPPED FOR LACK OF gdal-bin")
    folder.mkdir(exist_ok=True)
    for number in range(3):
        part = PIXELS[:, :, number * SIDE : (number + 1) * SIDE]
        write_scene(folder / f"{stem}{number}.tif", part, transform=UTM @ UTM.translation(number * SIDE, 0))
    command = ["gdaltindex", "-f", "GPKG", "-lyr_name", "tiles", "-tileindex", field, "made.gpkg"]
    subprocess.run(
        [*command, *(f"{stem}{number}.tif" for number in range(3))], cwd=folder, check=True, capture_output=True
    )
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
    stem = f"{tmp_path.name}-"  # GDAL shares files of one relative name that are open, whatever the working folder
    index = tile_index(tmp_path, name, stem=stem)
    address = str(index) if form == "layer" else f"GTI:{index}"
    if form == "definition":
        address = str(definition(tmp_path, IndexDataset=name, IndexLayer="tiles"))
    with open_scene(address) as scene:
        assert scene.info.missing == () and (scene.read(0, 0, 3 * SIDE, SIDE, 3 * SIDE, SIDE)[0] == PIXELS).all()
        assert {Path(file).name for file in scene.files()} >= {name, f"{stem}0.tif", f"{stem}2.tif"}
    (tmp_path / f"{stem}1.tif").unlink()
    with open_scene(address) as scene:
        assert [Path(file).name for file in scene.info.missing] == [f"{stem}1.tif"]
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


def described_index(folder: Path, names: dict[str, list[str]], told: dict[str, str]) -> Path:
    """An index whose layer tells in its metadata what GDAL should read; the files' names are in some fields."""
    tile_index(folder, "made.gpkg").unlink()
    outlines = [shapely.box(*(UTM @ (SIDE * at, SIDE)), *(UTM @ (SIDE * (at + 1), 0))) for at in range(3)]
    frame = geopandas.GeoDataFrame(names, geometry=outlines, crs="EPSG:32633")
    frame.to_file(folder / "all.gti.gpkg", layer="tiles", layer_metadata=told)
    return folder / "all.gti.gpkg"


TILES, LACKING = ["0.tif", "1.tif", "2.tif"], ["0.tif", "gone.tif", "2.tif"]


@pytest.mark.parametrize("field", ["file", "FILE"])
def test_the_field_that_the_layer_names_is_checked(tmp_path: Path, field: str) -> None:
    """GDAL ignores case in it."""
    path = described_index(tmp_path, {"file": LACKING, "location": TILES}, {"LOCATION_FIELD": field})
    with open_scene(path) as scene:
        assert [Path(file).name for file in scene.info.missing] == ["gone.tif"]
        assert (scene.read(0, 0, SIDE, SIDE, SIDE, SIDE)[0] == PIXELS[:, :, :SIDE]).all()


def test_features_that_the_layer_leaves_out_do_not_count(tmp_path: Path) -> None:
    path = described_index(tmp_path, {"location": LACKING}, {"FILTER": "location <> 'gone.tif'"})
    with open_scene(path) as scene:
        assert scene.info.missing == ()


def test_a_definition_counts_alone(tmp_path: Path) -> None:
    """GDAL reads no metadata then: the file that it shows as black is the one that the definition names."""
    described_index(tmp_path, {"file": LACKING, "other": TILES}, {"LOCATION_FIELD": "other"})
    path = definition(tmp_path, IndexDataset="all.gti.gpkg", LocationField="file")
    with rasterio.open(path) as plain:
        assert not plain.read(1, window=((0, SIDE), (SIDE, 2 * SIDE))).any()
    with open_scene(path) as scene, pytest.raises(SceneError, match=r"gone\.tif' does not exist"):
        scene.read(SIDE, 0, SIDE, SIDE, SIDE, SIDE)


def test_outlines_in_another_crs_place_nothing(tmp_path: Path) -> None:
    path = described_index(tmp_path, {"location": TILES}, {"SRS": "EPSG:32633"})
    assert TileIndex.of(str(path)).read()[1] is None


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
        TileIndex("", str(index), None, {"LOCATION_FIELD": "path"}).read()
    with pytest.raises(SceneError, match=r"cannot be checked \(.*other.*\); check it with ogrinfo"):
        TileIndex("", str(index), "other", None).read()


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
