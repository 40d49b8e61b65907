"""Mosaics (VRT) made by Debian's GDAL, some of whose files are gone or broken."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform_bounds
from shapely.geometry import box, mapping
from support.scenes import UTM, noise, write_scene
from support.servers import served

from lcageo.errors import SceneError
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.sample import read_reduced

SIDE = 64
GRID = 3
PIXELS = noise(SIDE * GRID, SIDE * GRID)
Break = Callable[[Path], None]


def gdal(tool: str, *arguments: object) -> None:
    if shutil.which(tool) is None:
        pytest.skip("SKIPPED FOR LACK OF gdal-bin")
    subprocess.run([tool, "-q", *map(str, arguments)], check=True)


def mosaic(folder: Path, nested: bool = False) -> Path:
    """A mosaic of 3 x 3 files; if `nested`, of a mosaic for each row."""
    parts = []
    for row in range(GRID):
        files = []
        for column in range(GRID):
            x, y = column * SIDE, row * SIDE
            part = PIXELS[:, y : y + SIDE, x : x + SIDE]
            files.append(write_scene(folder / f"{row}{column}.tif", part, transform=UTM @ UTM.translation(x, y)))
        if nested:
            (folder / "rows").mkdir(exist_ok=True)
            gdal("gdalbuildvrt", folder / "rows" / f"{row}.vrt", *files)
        parts += [folder / "rows" / f"{row}.vrt"] if nested else files
    gdal("gdalbuildvrt", folder / "all.vrt", *parts)
    return folder / "all.vrt"


def gone(path: Path) -> None:
    path.unlink()


def broken(path: Path) -> None:
    path.write_bytes(b"II*\0broken broken broken")


def places(scene: Scene, side: int) -> list[tuple[int, int]]:
    """Corners of windows that cover the scene, and of which some lie in no single file."""
    return [(x, y) for y in range(0, scene.info.height - side + 1, side) for x in range(0, scene.info.width, side)]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("damage", [gone, broken])
def test_no_read_gives_pixels_of_a_file_that_cannot_be_opened(tmp_path: Path, nested: bool, damage: Break) -> None:
    path = mosaic(tmp_path, nested)
    damage(tmp_path / "12.tif")
    with open_scene(path) as scene:

        def try_all(side: int) -> None:
            for _ in range(3):
                for x, y in places(scene, side):
                    hit = x + side > 2 * SIDE and y < 2 * SIDE and y + side > SIDE
                    if hit:
                        with pytest.raises(SceneError, match=r"12\.tif"):
                            scene.read(x, y, side, side, side, side)
                    else:
                        pixels, valid = scene.read(x, y, side, side, side, side)
                        assert (pixels == PIXELS[:, y : y + side, x : x + side]).all() and valid.all()

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(try_all, (32, 48, 96)))
    with open_scene(path) as scene, pytest.raises(SceneError, match=r"12\.tif"):  # another scene of the same process
        scene.read(2 * SIDE, SIDE, 8, 8, 8, 8)


def test_no_read_gives_pixels_of_a_file_that_has_become_smaller(tmp_path: Path) -> None:
    path = mosaic(tmp_path)
    small = write_scene(tmp_path / "12.tif", PIXELS[:, : SIDE // 2, : SIDE // 2])
    with open_scene(path) as scene:
        for x, y in places(scene, SIDE):
            if (x, y) == (2 * SIDE, SIDE):
                for _ in range(2):
                    with pytest.raises(SceneError, match=r"12\.tif' has 32 x 32 pixels, fewer than the mosaic shows"):
                        scene.read(x, y, SIDE, SIDE, SIDE, SIDE)
            else:
                assert (scene.read(x, y, SIDE, SIDE, SIDE, SIDE)[0] == PIXELS[:, y : y + SIDE, x : x + SIDE]).all()
    assert small.exists()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("profile", [{"nbits": 4}, {"photometric": "miniswhite"}])
def test_a_mosaic_has_the_bits_and_the_white_of_its_files(
    tmp_path: Path, profile: dict[str, object], nested: bool
) -> None:
    path = write_scene(tmp_path / "a.tif", noise(SIDE, SIDE, 1) // 16, **profile)
    gdal("gdalbuildvrt", tmp_path / "all.vrt", path)
    if nested:
        gdal("gdalbuildvrt", tmp_path / "more.vrt", tmp_path / "all.vrt")
    with open_scene(path) as one, open_scene(tmp_path / ("more.vrt" if nested else "all.vrt")) as whole:
        assert (whole.info.bits, whole.info.min_is_white) == (one.info.bits, one.info.min_is_white)
        assert (one.info.bits, one.info.min_is_white) == (4, False) if "nbits" in profile else (8, True)


def test_a_mosaic_that_scales_values_has_all_bits(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(SIDE, SIDE, 1) // 16, nbits=4)
    gdal("gdal_translate", "-of", "VRT", "-scale", 0, 15, 0, 255, path, tmp_path / "a.vrt")
    text = (tmp_path / "a.vrt").read_text().replace('<MDI key="NBITS">4</MDI>', "")
    (tmp_path / "a.vrt").write_text(text)
    with open_scene(tmp_path / "a.vrt") as scene:
        assert scene.info.bits == 8


@pytest.mark.parametrize("fault", ["<PixelFunctionType>none</PixelFunctionType>", "<SourceBand>9</SourceBand>"])
def test_a_fault_of_the_definition_is_not_called_an_incomplete_download(tmp_path: Path, fault: str) -> None:
    path = mosaic(tmp_path)
    text = path.read_text()
    if "SourceBand" in fault:
        text = text.replace("<SourceBand>2</SourceBand>", fault)
    else:
        text = text.replace('band="1">', f'band="1" subClass="VRTDerivedRasterBand">{fault}')
    path.write_text(text)
    with pytest.raises(SceneError) as told, open_scene(path) as scene:
        scene.read(0, 0, SIDE, SIDE, SIDE, SIDE)
    assert "download" not in str(told.value) and "mosaic" in str(told.value)


def test_the_view_of_a_whole_mosaic_is_not_valid_where_a_file_is_missing(tmp_path: Path) -> None:
    path = mosaic(tmp_path)
    (tmp_path / "00.tif").unlink()
    with open_scene(path) as scene:
        _, valid = read_reduced(scene, SIDE * GRID)
    half = SIDE * GRID // 2  # it is read in as many parts as there are blocks
    assert not valid[:SIDE, :SIDE].any() and valid[half:].all() and valid[:, half:].all()


def test_a_file_that_is_restored_is_read(tmp_path: Path) -> None:
    path = mosaic(tmp_path)
    (tmp_path / "00.tif").rename(tmp_path / "away.tif")
    with open_scene(path) as scene:
        with pytest.raises(SceneError, match=r"00\.tif' does not exist; restore it"):
            scene.read(0, 0, 8, 8, 8, 8)
        (tmp_path / "away.tif").rename(tmp_path / "00.tif")
        assert (scene.read(0, 0, 8, 8, 8, 8)[0] == PIXELS[:, :8, :8]).all()


@pytest.mark.parametrize("nested", [False, True])
def test_missing_files_are_named_on_opening(tmp_path: Path, nested: bool) -> None:
    path = mosaic(tmp_path, nested)
    with open_scene(path) as scene:
        assert scene.info.missing == () and scene.info.warnings() == []
        assert {Path(name).name for name in scene.files()} >= {"00.tif", "22.tif", "all.vrt"}
    for name in ("00.tif", "22.tif"):
        (tmp_path / name).unlink()
    with open_scene(path) as scene:
        assert {Path(name).name for name in scene.info.missing} == {"00.tif", "22.tif"}
        assert {Path(name).name for name in scene.files()} >= {"00.tif", "22.tif"}
        (line,) = scene.info.warnings()
    assert "00.tif' and 1 other files, which do not exist" in line


def test_a_warped_mosaic_without_its_source_is_not_read_at_all(tmp_path: Path) -> None:
    source = write_scene(tmp_path / "a.tif", PIXELS)
    gdal("gdalwarp", "-of", "VRT", "-t_srs", "EPSG:4326", source, tmp_path / "w.vrt")
    with open_scene(tmp_path / "w.vrt") as scene:
        assert scene.read(8, 8, 16, 16, 16, 16)[0].any()
    source.unlink()
    for _ in range(2):
        with pytest.raises(SceneError, match=r"its file '.*a\.tif' does not exist; restore it"):
            open_scene(tmp_path / "w.vrt")


def collection_of_items(folder: Path) -> Path:
    """A collection of STAC items, which GDAL's driver STACIT shows as a mosaic, of three files side by side."""
    items = []
    for number in range(3):
        place = UTM @ UTM.translation(number * SIDE, 0)
        path = write_scene(folder / f"{number}.tif", PIXELS[:, :SIDE, number * SIDE :][:, :, :SIDE], transform=place)
        bounds = transform_bounds("EPSG:32633", "OGC:CRS84", *place @ (0, SIDE), *place @ (SIDE, 0))
        asset = {"href": str(path), "type": "image/tiff", "proj:transform": list(place), "proj:shape": [SIDE, SIDE]}
        items.append(
            {
                "type": "Feature", "stac_version": "1.0.0", "id": str(number), "collection": "tiles", "bbox": bounds,
                "stac_extensions": ["https://stac-extensions.github.io/projection/v1.0.0/schema.json"],
                "geometry": mapping(box(*bounds)), "assets": {"visual": asset}, "links": [],
                "properties": {"datetime": "2020-01-01T00:00:00Z", "proj:epsg": 32633},
            }
        )  # fmt: skip
    found = {"type": "FeatureCollection", "stac_version": "1.0.0", "features": items, "links": []}
    (folder / "items.json").write_text(json.dumps(found))
    return folder / "items.json"


@pytest.mark.parametrize("form", ["{}", 'STACIT:"{}":asset=visual'])
def test_items_of_stac_are_a_mosaic(tmp_path: Path, form: str) -> None:
    address = form.format(collection_of_items(tmp_path))
    with open_scene(address) as scene:
        assert (scene.read(0, 0, 3 * SIDE, SIDE, 3 * SIDE, SIDE)[0] == PIXELS[:, :SIDE]).all()
        assert scene.info.missing == ()
    gone(tmp_path / "1.tif")
    with open_scene(address) as scene:
        assert scene.info.missing == (str(tmp_path / "1.tif"),)
        for _ in range(2):
            with pytest.raises(SceneError, match=r"its file '.*1\.tif' does not exist; restore it"):
                scene.read(SIDE, 0, SIDE, SIDE, SIDE, SIDE)
        assert (scene.read(0, 0, SIDE, SIDE, SIDE, SIDE)[0] == PIXELS[:, :SIDE, :SIDE]).all()


def test_links_to_mosaics_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.vrt").symlink_to(mosaic(tmp_path / "real"))
    with open_scene(tmp_path / "link.vrt") as scene:
        assert scene.info.missing == () and (scene.read(0, 0, 8, 8, 8, 8)[0] == PIXELS[:, :8, :8]).all()


@given(cut=st.tuples(*[st.integers(0, 60)] * 2), size=st.tuples(*[st.integers(70, 130)] * 2), grow=st.integers(1, 3))
def test_parts_of_nested_mosaics_are_placed_as_gdal_places_them(
    tmp_path_factory: pytest.TempPathFactory, cut: tuple[int, int], size: tuple[int, int], grow: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    inner = mosaic(folder)
    wanted = [size[0] * grow, size[1] * grow]
    gdal("gdal_translate", "-of", "VRT", "-srcwin", *cut, *size, "-outsize", *wanted, inner, folder / "cut.vrt")
    black = np.zeros((3, SIDE, SIDE), np.uint8)
    write_scene(folder / "11.tif", black, transform=UTM @ UTM.translation(SIDE, SIDE))
    with open_scene(folder / "cut.vrt") as scene:
        pixels, _ = scene.read(0, 0, *wanted, *wanted)
    (folder / "11.tif").unlink()
    is_black = (pixels == 0).all(axis=0)
    with open_scene(folder / "cut.vrt") as scene:
        for y in range(0, wanted[1] - 8, 8):
            for x in range(0, wanted[0] - 8, 8):
                if is_black[y : y + 8, x : x + 8].any():
                    with pytest.raises(SceneError, match=r"11\.tif"):
                        scene.read(x, y, 8, 8, 8, 8)


def requests_for(folder: Path, program: str) -> list[str]:
    """What a program of its own asks a server for, to which the mosaic in a folder refers."""
    with served(folder) as files:
        sources = [f"/vsicurl/{files.url(path.name)}" for path in sorted(folder.glob("??.tif"))]
        gdal("gdalbuildvrt", folder / "remote.vrt", *sources)
        before = len(files.requests())
        subprocess.run([sys.executable, "-c", program, folder / "remote.vrt"], check=True)
        return sorted(files.requests()[before:])


def test_trying_files_on_servers_takes_no_more_requests_than_reading_them(tmp_path: Path) -> None:
    mosaic(tmp_path)
    plain = "import sys, rasterio; rasterio.open(sys.argv[1]).read()"
    ours = (
        "import sys; from lcageo.scene.raster import open_scene; scene = open_scene(sys.argv[1]); "
        f"scene.read(0, 0, {GRID * SIDE}, {GRID * SIDE}, {GRID * SIDE}, {GRID * SIDE})"
    )
    assert requests_for(tmp_path, ours) == requests_for(tmp_path, plain) != []


def test_a_mosaic_on_a_server_has_its_files_there(tmp_path: Path) -> None:
    path = mosaic(tmp_path)
    with open_scene(path) as scene:
        expected, _ = scene.read(0, 0, GRID * SIDE, GRID * SIDE, SIDE, SIDE)
    with served(tmp_path) as files, open_scene(files.url(path.name)) as scene:
        pixels, _ = scene.read(0, 0, GRID * SIDE, GRID * SIDE, SIDE, SIDE)
    assert (pixels == expected).all()


@pytest.mark.parametrize("folder", ["", "maps"])
def test_a_mosaic_may_show_a_page_of_a_file_beside_it(tmp_path: Path, folder: str) -> None:
    """GDAL writes the folder into the middle of the page's name."""
    (tmp_path / folder).mkdir(exist_ok=True)
    pages = tmp_path / folder / "pages.tif"
    values = noise(30, 40)
    write_scene(pages, values)
    write_scene(f"{pages}", values[::-1].copy(), APPEND_SUBDATASET="YES")
    gdal("gdal_translate", "-of", "VRT", f"GTIFF_DIR:2:{pages}", tmp_path / "second.vrt")
    text = (tmp_path / "second.vrt").read_text()
    relative = f"GTIFF_DIR:2:{Path(folder, 'pages.tif').as_posix()}"
    text = re.sub(r"<SourceFilename.*?</", f'<SourceFilename relativeToVRT="1">{relative}</', text)
    (tmp_path / "second.vrt").write_text(text)
    with open_scene(tmp_path / "second.vrt") as scene:
        assert (scene.read(0, 0, 40, 30, 40, 30)[0] == values[::-1]).all()


def test_bare_values_are_no_raster_of_their_own(tmp_path: Path) -> None:
    values = noise(20, 30, 1)[0]
    (tmp_path / "a.raw").write_bytes(values.tobytes())
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="30" rasterYSize="20"><VRTRasterBand dataType="Byte" band="1" '
        'subClass="VRTRawRasterBand"><SourceFilename relativeToVRT="1">a.raw</SourceFilename>'
        "<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>30</LineOffset></VRTRasterBand></VRTDataset>"
    )
    with open_scene(tmp_path / "a.vrt") as scene:
        assert (scene.read(0, 0, 30, 20, 30, 20)[0][0] == values).all()


def test_a_name_with_a_colon_that_gdal_does_not_know_is_that_of_a_file(tmp_path: Path) -> None:
    values = noise(30, 40)
    write_scene(tmp_path / "S1A_20240101T10:20:30.tif", values)
    gdal("gdalbuildvrt", tmp_path / "a.vrt", tmp_path / "S1A_20240101T10:20:30.tif")
    assert 'relativeToVRT="1">S1A' in (tmp_path / "a.vrt").read_text()
    with open_scene(tmp_path / "a.vrt") as scene:
        assert (scene.read(0, 0, 40, 30, 40, 30)[0] == values).all()


def test_a_mosaic_that_computes_its_values_is_not_described_by_its_files(tmp_path: Path) -> None:
    """The amplitude of a complex raster, and few bits made eight."""
    write_scene(tmp_path / "few.tif", noise(20, 30, 1) // 16, nbits=4)
    gdal("gdal_create", "-ot", "CInt16", "-outsize", 30, 20, "-bands", 1, "-burn", 7, tmp_path / "complex.tif")
    cases = {"few.tif": ("Byte", "scale", 8), "complex.tif": ("Float32", "mod", 32)}
    for name, (kind, function, bits) in cases.items():
        path = tmp_path / f"{function}.vrt"
        path.write_text(
            '<VRTDataset rasterXSize="30" rasterYSize="20">'
            f'<VRTRasterBand dataType="{kind}" band="1" subClass="VRTDerivedRasterBand">'
            f"<PixelFunctionType>{function}</PixelFunctionType>"
            f"<SourceTransferType>{'CFloat32' if function == 'mod' else 'Float32'}</SourceTransferType>"
            f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>1</SourceBand>'
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        with open_scene(path) as scene:
            assert scene.info.bits == bits
            scene.read(0, 0, 30, 20, 30, 20)


def test_each_band_of_a_mosaic_is_described_by_its_own_file(tmp_path: Path) -> None:
    """gdalbuildvrt -separate of a mask and of colours."""
    write_scene(tmp_path / "mask.tif", noise(20, 30, 1) % 2, nbits=1)
    colours = noise(20, 30)
    names = [write_scene(tmp_path / f"{name}.tif", band[None]) for name, band in zip("rgb", colours, strict=True)]
    gdal("gdalbuildvrt", "-separate", tmp_path / "a.vrt", tmp_path / "mask.tif", *names)
    with open_scene(tmp_path / "a.vrt", [2, 3, 4]) as scene:
        assert scene.info.bits == 8 and (scene.read(0, 0, 30, 20, 30, 20)[0] == colours).all()


def test_a_first_file_that_cannot_be_opened_is_a_hole_like_any_other(tmp_path: Path) -> None:
    path = mosaic(tmp_path)
    (tmp_path / "00.tif").write_bytes(b"")
    with open_scene(path) as scene:
        for x, y in places(scene, SIDE):
            if (x, y) == (0, 0):
                with pytest.raises(SceneError, match=r"00\.tif"):
                    scene.read(x, y, SIDE, SIDE, SIDE, SIDE)
            else:
                scene.read(x, y, SIDE, SIDE, SIDE, SIDE)


def test_real_parts_of_complex_files_are_refused(tmp_path: Path) -> None:
    for kind in ("CInt16", "CFloat32"):
        gdal("gdal_create", "-ot", kind, "-outsize", 30, 20, "-bands", 1, "-burn", 7, tmp_path / f"{kind}.tif")
        gdal("gdal_translate", "-of", "VRT", "-ot", "Float32", tmp_path / f"{kind}.tif", tmp_path / f"{kind}.vrt")
        with pytest.raises(SceneError, match="complex pixels"):
            open_scene(tmp_path / f"{kind}.vrt")
