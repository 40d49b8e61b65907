"""Chips compared with rasterio, shapely, pyproj and pillow; the split by positions coded in the chips' pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
from PIL import Image
from support.labelled_scenes import CRS, PIXELS, TYPES, coco, make, on_map, write_labels
from support.scenes import UTM, noise, write_scene

from lcageo.errors import DataError, OutputError, SceneError, UsageError


def test_what_cannot_be_seen_is_reported(tmp_path: Path) -> None:
    pixels = noise(400, 400)
    pixels[:, :, 200:] = 0
    scene = write_scene(tmp_path / "a.tif", pixels, nodata=0)
    shapes = [on_map(box) for box in (*PIXELS, (5000, 0, 5010, 10))]
    labels = write_labels(tmp_path / "labels.gpkg", shapes, name=[*TYPES, "ship"])
    messages: list[str] = []
    summary = make(tmp_path / "chips", [scene], labels, messages.append)
    assert summary.labels["train"] == {"car": 1, "ship": 2}
    assert [line for line in messages if "1 of 7 labels" in line and "are on none of the scenes" in line]
    assert [line for line in messages if line.startswith("left out: 3 labels not visible enough in any chip")]
    assert [line for line in messages if "are read from its attribute 'name'" in line]


def test_an_edge_that_no_tag_marks_is_named_and_left_out(tmp_path: Path) -> None:
    pixels = noise(400, 400).astype(np.float32)
    pixels[:, :, 250:] = -9999
    labels = write_labels(tmp_path / "labels.gpkg", [on_map(box) for box in PIXELS], name=TYPES)
    messages: list[str] = []
    make(tmp_path / "chips", [write_scene(tmp_path / "a.tif", pixels)], labels, messages.append)
    assert len([line for line in messages if "has an edge of value -9999 that no tag marks" in line]) == 1
    (first, *_) = coco(tmp_path / "chips" / "train.json")
    with Image.open(tmp_path / "chips" / "images" / first[0]["file_name"]) as chip:
        assert np.asarray(chip).std() > 50  # stretched by the ground's values alone


def test_scenes_that_cannot_be_used_are_refused_with_a_remedy(place: Path, tmp_path: Path) -> None:
    labels, scene = place / "labels.gpkg", place / "scene.tif"
    unplaced = write_scene(tmp_path / "a.tif", noise(50, 50), None, None)
    geopandas.GeoDataFrame(geometry=[on_map((200, 200, 210, 210))], crs=CRS).to_file(tmp_path / "aoi.gpkg")
    bare = write_scene(tmp_path / "b.tif", np.zeros((3, 400, 400), np.uint8), nodata=0)
    with pytest.raises(SceneError, match="labels cannot be placed on it"):
        make(tmp_path / "c", [unplaced], labels, class_field="type")
    with pytest.raises(UsageError, match="is named twice"):
        make(tmp_path / "c", [scene, scene], labels, class_field="type")
    with pytest.raises(UsageError, match=r"would enlarge scene .* use at least 0\.125"):
        make(tmp_path / "c", [scene], labels, class_field="type", gsd_m=0.01)
    with pytest.raises(DataError, match="lies inside --aoi"):
        make(tmp_path / "c", [scene], labels, class_field="type", aoi=tmp_path / "aoi.gpkg")
    with pytest.raises(DataError, match="is visible enough to train on"):
        make(tmp_path / "c", [bare], labels, class_field="type")


MAKES = """
import os, sys
from pathlib import Path
from support.labelled_scenes import make
rename, left = Path.rename, int(sys.argv[4])
def dies(self, target):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    return rename(self, target)
Path.rename = dies
make(Path(sys.argv[1]), [sys.argv[2]], Path(sys.argv[3]), overwrite=True, class_field="type")
"""
MOVES = 7
"""train.json, val.json, images and split to the older result, and images, split and train.json from the draft."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_move_that_fails_leaves_the_older_chips(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, scene, labels = tmp_path / "c", place / "scene.tif", place / "labels.gpkg"
    make(out, [scene], labels, class_field="type", block_m=20, val=0.3)
    before, rename = contents(out), Path.rename
    assert "val.json" in before
    for number in range(MOVES):
        calls: list[Path] = []

        def fails(self: Path, target: Path, number: int = number, calls: list[Path] = calls) -> Path:
            calls.append(self)
            if len(calls) == number + 1:
                raise PermissionError(13, "Permission denied")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", fails)
        with pytest.raises(OutputError, match="Permission denied"):
            make(out, [scene], labels, overwrite=True, class_field="type")
        monkeypatch.setattr(Path, "rename", rename)
        assert contents(out) == before, calls


@pytest.mark.parametrize("moves", range(MOVES + 1))
def test_what_a_killed_run_did_not_move_is_moved_by_the_next(place: Path, tmp_path: Path, moves: int) -> None:
    scene, labels = place / "scene.tif", place / "labels.gpkg"
    for name in ("c", "whole"):
        make(tmp_path / name, [scene], labels, class_field="type", block_m=20, val=0.3)
    make(tmp_path / "whole", [scene], labels, overwrite=True, class_field="type")
    command = [sys.executable, "-c", MAKES, str(tmp_path / "c"), str(scene), str(labels), str(moves)]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == (9 if moves < MOVES else 0), done.stderr
    bare = write_scene(tmp_path / "b.tif", np.zeros((3, 400, 400), np.uint8), nodata=0)
    with pytest.raises(DataError, match="is visible enough to train on"):  # it gets no further
        make(tmp_path / "c", [bare], labels, overwrite=True, class_field="type")
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")


def test_a_scene_outside_the_area_is_left_out(place: Path, tmp_path: Path) -> None:
    far = write_scene(tmp_path / "far.tif", noise(100, 100), transform=UTM @ UTM.translation(9000, 0) @ UTM.scale(4))
    area = geopandas.GeoDataFrame(geometry=[on_map((0, 0, 400, 400))], crs=CRS)
    area.to_file(tmp_path / "aoi.gpkg")
    said: list[str] = []
    scenes = [place / "scene.tif", far]
    labels = place / "labels.gpkg"
    summary = make(tmp_path / "c", scenes, labels, said.append, class_field="type", aoi=tmp_path / "aoi.gpkg")
    assert summary.gsd_m == pytest.approx((0.5, 0.5), rel=1e-3)
    assert any("does not overlap scene" in line and line.endswith("scene left out") for line in said)
    with pytest.raises(UsageError, match="does not overlap scene"):
        make(tmp_path / "d", [far], labels, class_field="type", aoi=tmp_path / "aoi.gpkg")
    area.set_crs(None, allow_override=True).to_parquet(tmp_path / "bare.parquet")
    said.clear()
    make(tmp_path / "e", scenes[:1], labels, said.append, class_field="type", aoi=tmp_path / "bare.parquet")
    assert any("has no CRS; the scene's CRS is assumed" in line for line in said)
