"""`lcageo chips` as a user meets it, up to the training that takes what it made."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image
from support.commands import Run
from support.scenes import UTM, damaged_scene, squares, write_scene

from lcageo.chips.split_map import TINT, TRAIN, VAL
from lcageo.scene import prefetch

PLACES = [(x, y, 20, 250) for x in range(20, 500, 80) for y in range(20, 500, 80)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Bright squares on a scene of 512 pixels, and a layer of them in degrees."""
    write_scene(tmp_path / "scene.tif", squares(512, 512, PLACES))
    boxes = [
        shapely.box(UTM.c + x / 2, UTM.f - (y + side) / 2, UTM.c + (x + side) / 2, UTM.f - y / 2)
        for x, y, side, _ in PLACES
    ]
    layer = geopandas.GeoDataFrame({"kind": ["square"] * len(boxes)}, geometry=boxes, crs="EPSG:32633")
    layer.to_crs(4326).to_file(tmp_path / "labels.geojson")
    return tmp_path / "labels.geojson"


def test_train_takes_what_chips_makes(run: Run, labels: Path, tmp_path: Path) -> None:
    made = run(
        *("chips", "scene.tif", "--labels", labels, "--class-field", "kind", "-o", "chips", "--size", 128),
        *("--block", 64, "--val", 0.3),
    )
    assert made.code == 0, made.err
    assert made.out.split() == ["chips/train.json", "chips/val.json", "chips/split/scene.png"]
    table = " ".join(made.err.split())
    assert "labels of square" in table and "split by blocks of 64 m" in table
    checked = run("data", "check", "chips/train.json", "--val", "chips/val.json")
    assert checked.code == 0, checked.out + checked.err
    (line,) = [line for line in made.err.splitlines() if line.startswith("to train on them: lcageo ")]
    small = ["--preset", "lca", "--backbone", "resnet18", "--backbone-width", 16, "--channels", 16, "--head-convs", 1]
    command = shlex.split(line.partition("lcageo ")[2].replace("--from MODEL ", "").replace("FOLDER", "tuned"))
    trained = run(*command, *small, "--norm", "gn", "--epochs", 1, "--batch", 4, "--workers", 0)
    assert trained.code == 0, trained.err
    card = (tmp_path / "tuned" / "model.toml").read_text()
    assert '"square"' in card and "tile_size = 128" in card


def test_the_map_shows_what_trains_and_what_validates(run: Run, labels: Path, tmp_path: Path) -> None:
    # Black ground: what is not a box or a chip's outline has the side's tint alone.
    write_scene(tmp_path / "black.tif", np.zeros((3, 512, 512), np.uint8))
    made = run(
        *("chips", "black.tif", "--labels", labels, "--class", "a", "-o", "chips", "--size", 128, "--block", 64),
        *("--json", "--edge-nodata", "none"),
    )
    assert made.code == 0, made.err
    report = json.loads(made.out)
    picture = np.asarray(Image.open(tmp_path / "chips" / "split" / "black.png"))[:512, :512].reshape(-1, 3)
    shares = {}
    for side, colour in (("train", TRAIN), ("val", VAL)):
        shares[side] = (picture == (np.array(colour) * TINT).astype(np.uint8)).all(axis=1).mean()
    assert shares["train"] + shares["val"] > 0.8 and min(shares.values()) > 0.1
    counted = {side: sum(report["labels"][side].values()) for side in ("train", "val")}
    assert sum(counted.values()) >= 30 and counted["val"] < counted["train"]


def test_unreadable_parts_end_with_3(run: Run, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    damaged_scene(tmp_path / "holed.tif", [9], PLACES)
    made = run("chips", "holed.tif", "--labels", labels, "-o", "chips", "--class", "a", "--size", 64, "--overlap", 0)
    assert made.code == 3 and "1 tiles could not be read; the first: scene 'holed.tif' cannot be read" in made.err
    assert (tmp_path / "chips" / "train.json").exists()


def test_without_validation_there_is_no_val(run: Run, labels: Path, tmp_path: Path) -> None:
    made = run("chips", "scene.tif", "--labels", labels, "-o", "chips", "--class", "a", "--val", 0, "--size", 128)
    assert made.code == 0 and made.out.split() == ["chips/train.json", "chips/split/scene.png"]
    assert "chips/train.json --from" in made.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "has no attribute class, label, name, category; it has kind"),
        (("--class", "a", "--class-field", "kind"), 2, "class-field and class cannot be combined"),
        (("--class", "a", "--stretch", "much"), 2, "is not a range"),
        (("--class", "a", "--bands", "7"), 2, "does not fit scene"),
        (("--class", "a", "--aoi", "none.gpkg"), 2, "--aoi 'none.gpkg' does not exist"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, labels: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    outcome = run("chips", "scene.tif", "--labels", labels, "-o", "chips", *arguments)
    assert outcome.code == code and message in outcome.err and not (tmp_path / "chips" / "train.json").exists()
