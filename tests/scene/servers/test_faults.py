"""Scenes on servers that fail: read in the end, or told what happened. The servers are processes of this machine."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.scenes import noise, write_scene
from support.servers import FAULTS, served

from lcageo.errors import SceneError, ServerError
from lcageo.scene import raster
from lcageo.scene.opening import open_dataset
from lcageo.scene.order import reading_order
from lcageo.scene.prefetch import OUTAGE, TileReader, read_ahead
from lcageo.scene.raster import open_scene
from lcageo.scene.sample import sample_scene
from lcageo.scene.servers import faults
from lcageo.scene.servers.faults import is_outage, told
from lcageo.scene.stretch import IDENTITY
from lcageo.scene.tiles import plan_tiles

TOLD = {
    "stall": "the server does not answer in time or cannot be reached; check the network",
    "unavailable": "the server answers 503 Service Unavailable; check the network",
    "drop": "the connection broke off; check the network",
    "refuse": "the server answers 403 Forbidden; check the credentials; a signed URL may have expired",
}
WINDOW = (300, 300, 64, 64, 64, 64)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a scene; pauses and limits are short."""
    for name, value in {"LOW_SPEED_TIME": "1", "MAX_RETRY": "1", "RETRY_DELAY": "0.05"}.items():
        monkeypatch.setenv(f"GDAL_HTTP_{name}", value)
    monkeypatch.setattr(faults, "PAUSES_S", (0.05, 0.1))
    # More than the 16 kB that GDAL asks for first.
    write_scene(tmp_path / "a.tif", noise(600, 600), tiled=True, blockxsize=64, blockysize=64)
    return tmp_path


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "refuse"])
def test_what_fails_for_a_while_is_read_in_the_end(folder: Path, fault: str) -> None:
    with open_scene(folder / "a.tif") as scene:
        expected, _ = scene.read(*WINDOW)
    with served(folder, fault, good=1, until=4) as files, open_scene(files.url("a.tif?sig=S3cr3t")) as scene:
        pixels, valid = scene.read(*WINDOW)
    assert valid.all() and np.array_equal(pixels, expected)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_keeps_failing_is_told_as_what_it_is(folder: Path, fault: str) -> None:
    with served(folder, fault, good=1) as files, open_scene(files.url("a.tif?sig=S3cr3t")) as scene:
        with pytest.raises(ServerError) as failure:
            scene.read(*WINDOW)
        assert len(files.requests()) < 30
    assert TOLD[fault] in str(failure.value)
    assert "damaged" not in str(failure.value) and "S3cr3t" not in str(failure.value)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "drop"])
def test_so_is_what_fails_from_the_start(folder: Path, fault: str) -> None:
    with (
        served(folder, fault, good=0) as files,
        pytest.raises(ServerError, match=r"a\.tif' cannot be opened: ") as told,
    ):
        open_scene(files.url("a.tif?sig=S3cr3t"))
    assert TOLD[fault] in str(told.value) and "S3cr3t" not in str(told.value)


def test_opening_ends_however_many_files_a_server_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "30")
    monkeypatch.setattr(faults, "OPENING_S", 1.0)
    started = time.monotonic()
    with (
        served(folder, "stall", good=0) as files,
        pytest.raises(ServerError, match=r"cannot be opened: the server does"),
    ):
        open_scene(files.url("a.tif"))
    assert time.monotonic() - started < 15


def test_a_scene_on_a_server_is_opened_once_by_the_thread_that_uses_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(raster, "open_dataset", lambda *a: opened.append(a) or open_dataset(*a))
    with served(folder) as files, open_scene(files.url("a.tif")) as scene:
        scene.read(*WINDOW)
    assert len(opened) == 1


def test_a_server_that_is_not_there_cannot_be_reached(folder: Path) -> None:
    with served(folder) as files:
        gone = files.url("a.tif")
    with pytest.raises(ServerError, match="the server does not answer in time or cannot be reached"):
        open_scene(gone)
    with served(folder) as files, pytest.raises(ServerError, match="the server answers 404 Not Found; check the URL"):
        open_scene(files.url("b.tif"))


def test_an_outage_ends_reading_after_some_tiles(folder: Path) -> None:
    with served(folder, "unavailable", good=1) as files, open_scene(files.url("a.tif")) as scene:
        grid = plan_tiles(600, 600, 64, 8)
        reader = TileReader(scene, IDENTITY, None, 64, (0, 0, 0))
        later = np.arange(len(grid) // 2, len(grid))  # the first ones came with the header
        order = reading_order(scene.info, grid, later, 2)
        read = []
        with pytest.raises(ServerError, match="503"):
            read += filter(None, read_ahead(reader, grid, order, ahead=4))
        assert len(read) < OUTAGE + 4 < len(later)
        assert all(is_outage(image) for _, image in read if isinstance(image, SceneError))
        with pytest.raises(ServerError, match="503"):
            sample_scene(scene)
        assert len(files.requests()) < 200


def test_a_missing_file_of_a_mosaic_is_no_outage() -> None:
    assert is_outage(ServerError("x", 503)) and is_outage(ServerError("x")) and is_outage(ServerError("x", 403))
    assert not is_outage(ServerError("x", 404)) and not is_outage(SceneError("x"))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "in time"),
        (206, "broke off"),
        (302, "redirects without end"),
        (503, "503 Service Unavailable"),
        (599, "answers 599"),
    ],
)
def test_a_status_is_told_in_words(status: int, words: str) -> None:
    assert words in told(status)


def test_waiting_for_tiles_is_reported_and_closing_does_not_wait_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "30")
    monkeypatch.setattr(raster, "CLOSING_S", 0.2)
    monkeypatch.setattr(raster, "_BUSY", [])
    with served(folder, "stall", good=1) as files:
        started = time.monotonic()
        with open_scene(files.url("a.tif")) as scene:
            grid = plan_tiles(600, 600, 64, 8)
            reader = TileReader(scene, IDENTITY, None, 64, (0, 0, 0))
            middle = np.arange(50, 60)  # GDAL has already asked for the first ones
            images = read_ahead(reader, grid, reading_order(scene.info, grid, middle, 2), ahead=4)
            assert next(images) is None
            images.close()
        assert time.monotonic() - started < 10


def test_closing_leaves_a_handle_that_is_read_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "CLOSING_S", 0.2)
    monkeypatch.setattr(raster, "_BUSY", [])
    with served(folder, "stall", good=1) as files:
        scene = open_scene(files.url("a.tif"))

        def read() -> None:
            with pytest.raises(SceneError):
                scene.read(*WINDOW)

        reading = threading.Thread(target=read)
        reading.start()
        while len(files.requests()) < 2:
            time.sleep(0.02)
        scene.close()
        assert len(raster._BUSY) == 2  # the main thread's, too
    reading.join()
