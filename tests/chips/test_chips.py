"""Chips compared with rasterio, shapely, pyproj and pillow; the split by positions coded in the chips' pixels."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
from PIL import Image
from support.labelled_scenes import CRS, PIXELS, TYPES, coco, make, on_map, write_labels
from support.scenes import noise, write_scene

from lcageo.errors import DataError, SceneError, UsageError


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
    assert [line for line in messages if line.startswith("3 labels are not visible enough in any chip")]
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
