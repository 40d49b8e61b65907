"""Damaged and hostile GeoTIFFs give a result, one with holes, or a refusal; tests/soak runs a thousand of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.attempts import attempt
from support.mutations import HEIGHT, KINDS, WIDTH, Tiff, mutate, write_sources
from support.scenes import noise, write_scene

from lcageo.errors import SceneError
from lcageo.scene import prefetch, sample
from lcageo.scene.raster import open_scene
from lcageo.scene.sample import read_reduced, sample_scene
from lcageo.scene.tiles import MAX_TILES


class Sources(dict[str, bytes]):
    """Short to print, which hypothesis asks for."""

    def __repr__(self) -> str:
        return "Sources(...)"


ENDINGS = ("ok", "holes", "refused", "stopped")
"""'stopped' because a damaged header can claim hours of work."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(write_sources(tmp_path_factory.mktemp("sources")))


@pytest.mark.parametrize("kind", KINDS)
def test_damage_of_every_kind_ends_in_a_result_or_a_refusal(
    sources: dict[str, bytes], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    first = list(KINDS).index(kind)
    for number in range(first, first + 6 * len(KINDS), len(KINDS)):
        mutation = mutate(sources, number, seed=7)
        path = tmp_path / f"{number}.tif"
        path.write_bytes(mutation.content)
        ending, text = attempt(path, tmp_path, seconds=1)
        assert mutation.kind == kind and ending in ENDINGS and text


CHANGES = st.lists(st.tuples(st.integers(0, 2**12), st.binary(min_size=1, max_size=8)), min_size=1, max_size=5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # rasterio: not UTF-8
@given(st.sampled_from(["bigtiff", "mask", "overviews", "palette", "uint16"]), CHANGES)
def test_no_header_raises_anything_but_a_scene_error(
    sources: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[int, bytes]]
) -> None:
    tiff = Tiff(sources[name])
    places = tiff.structure()
    for number, piece in changes:
        place = places[number % len(places)]
        tiff.bytes[place : place + len(piece)] = piece
    path = tmp_path_factory.getbasetemp() / f"{name}-header.tif"
    path.write_bytes(tiff.bytes)
    with suppress(SceneError), open_scene(path) as scene:
        scene.info.warnings()
        assert scene.files()
        pixels, valid = scene.read(0, 0, 1, 1, 2, 2)
        assert pixels.shape == (3, 2, 2) and valid.shape == (2, 2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as above
def test_messages_that_are_not_text_are_still_refusals(sources: dict[str, bytes], tmp_path: Path) -> None:
    tiff = Tiff(sources["overviews"])
    metadata = tiff.tags((42112,))[-1]
    tiff.bytes[metadata.values_at + 48] = 0x80  # in a name of its XML, which GDAL's error message quotes
    (tmp_path / "a.tif").write_bytes(tiff.bytes)
    with pytest.raises(SceneError, match="cannot be interpreted"):
        open_scene(tmp_path / "a.tif")


def test_undamaged_the_sources_give_their_objects(sources: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in sources.items():
        (tmp_path / "scene.tif").write_bytes(content)
        ending, text = attempt(tmp_path / "scene.tif", tmp_path)
        assert ending == "ok" and text.endswith("objects"), name


def with_sizes(content: bytes, path: Path, **sizes: int) -> Path:
    """The TIFF with other numbers in some tags of its first directory, each of which occurs once."""
    tiff = Tiff(content)
    tags = {"width": 256, "height": 257, "rows": 278, "tile_width": 322, "tile_height": 323}
    for name, value in sizes.items():
        (entry,) = (entry for entry in tiff.directories[0].entries if entry.tag == tags[name])
        tiff.set_number(entry, value)
    path.write_bytes(tiff.bytes)
    return path


def test_more_blocks_than_the_file_can_list_are_refused(sources: dict[str, bytes], tmp_path: Path) -> None:
    path = with_sizes(sources["tiled"], tmp_path / "a.tif", width=100_000, height=100_000)
    with pytest.raises(SceneError, match=r"100,000 x 100,000 pixels in 2,442,969 blocks, .* is damaged or incomplete"):
        open_scene(path)


def test_blocks_too_large_for_memory_are_refused(sources: dict[str, bytes], tmp_path: Path) -> None:
    path = with_sizes(sources["tiled"], tmp_path / "a.tif", tile_width=16_384, tile_height=16_384)
    with pytest.raises(SceneError, match=r"16,384 x 16,384 pixels, which take 805 MB each .* TILED=YES"):
        open_scene(path)
    separate = with_sizes(sources["nodata"], tmp_path / "b.tif", tile_width=16_384, tile_height=16_384)
    assert open_scene(separate).info.block_shape == (16_384, 16_384)  # a band at a time: 268 MB


def test_a_scene_of_too_many_tiles_is_refused_at_once(tmp_path: Path) -> None:
    huge = (
        '<VRTDataset rasterXSize="2147483647" rasterYSize="2147483647">'
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    (tmp_path / "huge.vrt").write_text(huge)
    ending, text = attempt(tmp_path / "huge.vrt", tmp_path)
    assert ending == "refused" and f"more than {MAX_TILES:,}; if its size is right, cut it" in text


def test_lost_overviews_cost_nothing_but_themselves(sources: dict[str, bytes], tmp_path: Path) -> None:
    """They are stored after the pixels, so an interrupted download loses them first."""
    content = sources["overviews"]
    path = tmp_path / "a.tif"
    path.write_bytes(content[: Tiff(content).directories[1].at])
    with open_scene(path) as scene:
        assert scene.info.overviews == ()
        assert scene.read(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT)[0].any()
    assert attempt(path, tmp_path)[0] == "ok"


def test_parts_of_a_damaged_scene_are_no_smaller_than_its_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "a.tif", noise(64, 256), tiled=True, blockxsize=128, blockysize=64, compress="lzw")
    path.write_bytes(path.read_bytes()[:-8])
    with open_scene(path) as scene:
        windows: list[tuple[float, ...]] = []
        read = scene.read
        monkeypatch.setattr(scene, "read", lambda *window: windows.append(window[:4]) or read(*window))
        _, valid = read_reduced(scene, 1024)
        assert windows == [(0, 0, 256, 64), (0, 0, 128, 64), (128, 0, 128, 64)]
        assert valid[:, :128].all() and not valid[:, 128:].any()


def test_large_blocks_are_probed_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scene(tmp_path / "a.tif", noise(256, 256), tiled=True, blockxsize=128, blockysize=128)
    monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
    with open_scene(path) as scene:
        assert sample_scene(scene).valid.shape[:2] == (48, 48)
        monkeypatch.setattr(sample, "PROBED_PIXELS", 10 * 128 * 128)
        assert sample_scene(scene).valid.shape[:2] == (3, 3)
        assert np.array_equal(sample_scene(scene).pixels[:, 0, 0].max() > 0, True)
