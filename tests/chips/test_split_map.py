"""The map of what trains and what validates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from support.commands import Run
from support.scenes import write_scene

from lcageo.chips.split_map import TINT, TRAIN, VAL


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
