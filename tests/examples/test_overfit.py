"""The sanity check of a detector: it overfits sixteen real images. models/README.md has the results of every preset."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import DATA
from overfit import EPOCHS, overfit, some_images

from lcageo.data.formats.coco import read_coco
from lcageo.network_config import Preset


@pytest.mark.slow
def test_lca_overfits_real_images(tmp_path: Path) -> None:
    path = DATA / "vhr10" / "train.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no '{path}'; name the folder of vhr10 with LCAGEO_DATA")
    metrics = overfit(Preset.LCA, some_images(read_coco(path), 16), tmp_path, EPOCHS).metrics
    assert metrics["mAP50"] > 0.95, metrics
