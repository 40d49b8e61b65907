"""The coarse sample of a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scenes import write_scene

from lcageo.scene import sample
from lcageo.scene.raster import open_scene
from lcageo.scene.sample import sample_scene
from lcageo.scene.stretch import estimate_stretch


def test_probes_of_a_large_scene_estimate_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 3000, (3, 700, 500)).astype(np.uint16)
    path = write_scene(tmp_path / "a.tif", pixels, tiled=True, blockxsize=128, blockysize=128)
    with open_scene(path) as scene:
        whole = estimate_stretch(sample_scene(scene))
        monkeypatch.setattr(sample, "WHOLE_READ_LIMIT", 0)
        probed = sample_scene(scene)
    assert probed.pixels.shape == (3, 48, 34, 256) and probed.valid.all()
    assert estimate_stretch(probed).high == pytest.approx(whole.high, rel=0.02)
