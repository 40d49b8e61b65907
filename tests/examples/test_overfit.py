"""The sanity check of every detector: it learns sixteen real images by heart."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import DATA
from overfit import EPOCHS, overfit, some_images

from lcageo.config import Preset
from lcageo.data.coco import read_coco


@pytest.mark.slow
@pytest.mark.parametrize("preset", [Preset.LCA, Preset.FCOS])
def test_a_preset_learns_real_images_by_heart(preset: Preset, tmp_path: Path) -> None:
    path = DATA / "vhr10" / "train.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR WANT OF DATA: no '{path}'; name the folder of vhr10 with LCAGEO_DATA")
    metrics = overfit(preset, some_images(read_coco(path), 16), tmp_path, EPOCHS).metrics
    assert metrics["mAP50"] > 0.95, metrics
