"""What a run would take, and what a scene is, without running it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.bright import BrightSquares, bright_card
from support.scenes import UTM, damaged_scene, noise, write_scene
from support.servers import served

from lcageo.config import DetectConfig, EdgeNodata, Passes
from lcageo.errors import DeviceMemoryError
from lcageo.inference import preview
from lcageo.inference.preview import describe_scene, preview_scene
from lcageo.inference.runner import LocalRunner
from lcageo.scene import prefetch
from lcageo.scene.raster import open_scene
from lcageo.scene.sample import sample_scene


def test_the_tiles_are_those_of_the_area_and_only_one_batch_is_run_twice(tmp_path: Path) -> None:
    predictor = BrightSquares(bright_card(64))
    bbox = (UTM.c, UTM.f - 30, UTM.c + 30, UTM.f)  # 60 x 60 pixels: in the first tile
    with open_scene(write_scene(tmp_path / "a.tif", noise(128, 192))) as scene:
        preview = preview_scene(scene, LocalRunner(predictor, 4), DetectConfig(overlap="0", bbox=bbox))
        everything = preview_scene(scene, LocalRunner(predictor, 4), DetectConfig(overlap="0"))
    assert (preview.tiles, preview.outside_aoi) == (1, 5) and (everything.tiles, everything.outside_aoi) == (6, 0)
    assert predictor.batches == [1, 1, 4, 4] and everything.seconds > 0 and everything.memory_mb > 10


def test_every_pass_is_counted(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(128, 192))) as scene:
        config = DetectConfig(overlap="0", passes=Passes.THREE)
        preview = preview_scene(scene, LocalRunner(BrightSquares(bright_card(64)), 4), config)
    assert preview.passes == (((1.0, 1.0), 6), ((2.0, 2.0), 2), ((0.5, 0.5), 24)) and preview.tiles == 32


def test_the_share_without_data_is_estimated(tmp_path: Path) -> None:
    pixels = noise(200, 400)
    pixels[:, :, 100:] = 0
    with open_scene(write_scene(tmp_path / "a.tif", pixels, nodata=0)) as scene:
        preview = preview_scene(scene, LocalRunner(BrightSquares(bright_card(64)), 2), DetectConfig())
        assert preview.empty_share == pytest.approx(0.75, abs=0.02)
        assert describe_scene(scene, None)["valid_share"] == pytest.approx(0.25, abs=0.02)


def test_the_batch_is_halved_until_it_fits(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(400, 400))) as scene:
        predictor = BrightSquares(bright_card(64), largest_batch=2)
        preview_scene(scene, LocalRunner(predictor, 16), DetectConfig())
        assert predictor.batches == [2, 2]
        with pytest.raises(DeviceMemoryError):
            preview_scene(scene, LocalRunner(BrightSquares(bright_card(64), largest_batch=0), 16), DetectConfig())


def test_a_damaged_scene_is_timed_by_what_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    with open_scene(damaged_scene(tmp_path / "a.tif", [0])) as scene:
        assert (
            preview_scene(scene, LocalRunner(BrightSquares(bright_card(64)), 2), DetectConfig(overlap="0")).tiles == 64
        )


def test_a_server_is_not_waited_for_once_for_each_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scene(tmp_path / "a.tif", noise(1024, 1024), tiled=True, blockxsize=64, blockysize=64)
    with open_scene(path) as scene:
        sample = sample_scene(scene)
    monkeypatch.setattr(preview, "sample_scene", lambda scene: sample)  # a small scene would be fetched for it
    with served(tmp_path, delay_s=0.3) as files, open_scene(files.url("a.tif")) as scene:
        runner = LocalRunner(BrightSquares(bright_card(256)), 2)
        told = preview_scene(scene, runner, DetectConfig(overlap="0", edge_nodata=EdgeNodata.NONE))
    assert told.tiles == 16 and told.seconds < 16 * 0.3 / 3


def test_a_scene_is_described_in_json(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(128, 192))) as scene:
        described = json.loads(json.dumps(describe_scene(scene, bright_card(64))))
    assert described["size"] == [192, 128] and described["crs"] == "EPSG:32633" and described["untagged_edge"] is None
    assert described["corners"] == [[UTM.c, UTM.f], [UTM.c + 96, UTM.f - 64]]
    assert described["tiling"]["overlap"] == 16 and described["tiling"]["tiles"] == 3 * 4
