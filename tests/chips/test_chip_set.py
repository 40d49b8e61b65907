"""Chips as a data set to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.labelled_scenes import PIXELS, coco, make, on_map, write_labels
from support.scenes import UTM, noise, write_scene

from lcageo.chips.chips import make_chips
from lcageo.chips.config import ChipConfig
from lcageo.data.formats.coco import read_coco
from lcageo.errors import UsageError


def test_training_reads_what_was_written(place: Path, tmp_path: Path) -> None:
    make(tmp_path / "chips", [place / "scene.tif"], place / "labels.gpkg", class_field="type")
    labelled = read_coco(tmp_path / "chips" / "train.json", strict=True)
    assert labelled.classes == ("car", "ship") and not labelled.problems
    assert sum(int((~one.difficult).sum()) for one in labelled.annotations) >= len(PIXELS)
    assert any(one.difficult.any() for one in labelled.annotations)


def test_scenes_with_the_same_name_have_their_own_chips(tmp_path: Path) -> None:
    scenes = []
    for number, name in enumerate(["a/x.tif", "b/x.tif", "x-2.tif", "c/X.tif"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scenes.append(write_scene(tmp_path / name, noise(130, 130, seed=number), transform=UTM))
    labels = write_labels(tmp_path / "labels.gpkg", [on_map((70, 70, 90, 90))])
    make(tmp_path / "chips", scenes, labels, class_name="a", overlap="0")
    images = [image["file_name"].casefold() for image, _ in coco(tmp_path / "chips" / "train.json")]
    assert len(set(images)) == len(images) >= 4
    assert len(list((tmp_path / "chips" / "split").iterdir())) == 4


def test_earlier_chips_are_replaced_and_nothing_else(place: Path, tmp_path: Path) -> None:
    def again(folder: Path, **config: Any) -> Any:
        scenes = [str(place / "scene.tif")]
        settings = ChipConfig(size=128, class_field="type", **config)
        return make_chips(scenes, place / "labels.gpkg", folder, settings, overwrite=True)

    again(tmp_path / "chips", val=0.4, block_m=40.0)
    assert (tmp_path / "chips" / "val.json").exists()
    again(tmp_path / "chips", val=0.0)
    assert not (tmp_path / "chips" / "val.json").exists()
    assert {path.name for path in (tmp_path / "chips").iterdir()} == {"images", "split", "train.json"}
    (tmp_path / "own" / "images").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"images' was not made by lcageo chips, so it is not replaced"):
        again(tmp_path / "own")
    with pytest.raises(UsageError, match="exists; use --overwrite"):
        make(tmp_path / "chips", [place / "scene.tif"], place / "labels.gpkg")
