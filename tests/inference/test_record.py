"""What a run says of how its result came about."""

from __future__ import annotations

from pathlib import Path

from support.scenes import noise, squares, write_scene
from support.square_scenes import run


def test_tiles_without_data_are_skipped_and_counted(tmp_path: Path) -> None:
    pixels = squares(200, 400, [(10, 10, 20, 240)])
    pixels[:, :, 150:] = 0
    result = run(write_scene(tmp_path / "a.tif", pixels, nodata=0), overlap="0")
    tiles = result.summary.tiles.as_json()
    assert tiles == {"planned": 28, "outside_area_of_interest": 0, "without_data": 16, "unreadable": 0, "run": 12}
    assert len(result.detections) == 1


def test_an_untagged_black_edge_is_skipped_only_if_asked(tmp_path: Path) -> None:
    pixels = noise(200, 400)
    pixels[:, :, 150:] = 0
    path = write_scene(tmp_path / "a.tif", pixels)
    auto, none = (
        run(path, overlap="0").summary.record.as_json(),
        run(path, overlap="0", edge_nodata="none").summary.record.as_json(),
    )
    assert auto["tiles"]["without_data"] == 16 and auto["edge_nodata"] == "black"
    assert none["tiles"]["without_data"] == 0 and none["edge_nodata"] is None


def test_the_record_holds_the_model_and_the_parameters(scene_path: Path) -> None:
    record = run(scene_path, score=0.5, classes=("white square",)).summary.record.as_json()
    assert record["model"] == "bright" and record["model_sha256"] == "0" * 64
    assert record["parameters"]["score"] == 0.5 and record["parameters"]["classes"] == ("white square",)
    assert record["scene_pixels_per_tile_pixel"] == 1.0 and record["bands"] == [1, 2, 3]
