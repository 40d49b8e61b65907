"""GeoDeep runs what we export on a real scene, and finds what we find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.commands import Run

from lcageo.config import Backend, DetectConfig, MergeMetric, Precision
from lcageo.detections import Detections
from lcageo.inference.scene import detect_scene
from lcageo.nms import overlap
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.scene.raster import open_scene

geodeep = pytest.importorskip("geodeep", reason="SKIPPED FOR LACK OF A TOOL: geodeep is not installed")

MODEL = "lca-s"
SCENE = "nl_canal_rdnew_0.25m"
SCORE = 0.05
MARGIN = 4.0
"""Pixels from a tile's edge within which the programs differ: we look there for objects that the edge has cut."""


def theirs(scene: Path, model: Path) -> Detections:
    """What GeoDeep finds, in scene pixels; its GeoJSON would cut them to whole ones and shift them by half of one."""
    # A resolution, in cm, below the scene's: GeoDeep then runs it as it is.
    rows = geodeep.run(str(scene), str(model), output_type="raw", conf_threshold=SCORE, resolution=1, max_threads=1)
    return Detections(rows[:, :4], rows[:, 4:].max(axis=1), rows[:, 4:].argmax(axis=1))


def ours(scene: Path) -> tuple[Detections, int]:
    """The same, in numbers and with all sizes that GeoDeep takes, and the scene's side."""
    config = DetectConfig(score=SCORE, gsd="native", max_per_tile=10_000)
    card = replace(find_card(MODEL), size_m={}, lengths_px=None)  # one pass, as GeoDeep makes
    predictor = load_predictor(card, config, "cpu", Backend.TORCH, Precision.FP32)
    with open_scene(scene) as opened:
        return detect_scene(opened, predictor, config, warn=lambda line: None).detections, opened.info.width


def seen_by_one_tile(found: Detections, tile: int, side: int) -> Detections:
    """Those in one of the two by two tiles of a square scene alone, and not at their edges."""
    x1, y1, x2, y2 = found.boxes_xyxy.T
    clear = np.ones(len(found), np.bool_)
    for low, high in ((x1, x2), (y1, y2)):
        clear &= (high < side - tile - MARGIN) | (low > tile + MARGIN)
        clear &= (low > MARGIN) & (high < side - MARGIN)
    return found.selected(np.flatnonzero(clear))


def stands_alone(some: Detections, everything: Detections) -> Detections:
    """Those that share less than a tenth of the smaller box with any other."""
    one, other = (index.ravel() for index in np.indices((len(some), len(everything))))
    shared = overlap(some.boxes_xyxy[one], everything.boxes_xyxy[other], MergeMetric.IOS)
    return some.selected(np.flatnonzero((shared.reshape(len(some), -1) > 0.1).sum(axis=1) == 1))  # itself


def assert_among(some: Detections, others: Detections) -> None:
    """Each of `some` is one of `others`: its class, its score to 1e-4, its box to a twentieth of a pixel."""
    apart: NDArray[np.float64] = np.abs(some.boxes_xyxy[:, None] - others.boxes_xyxy[None]).max(axis=-1)
    apart = np.where(some.labels[:, None] == others.labels, apart, np.inf)
    assert apart.min(axis=1).max() < 0.05
    assert np.abs(some.scores - others.scores[apart.argmin(axis=1)]).max() < 1e-4


@pytest.mark.slow
def test_geodeep_finds_with_the_exported_file_what_we_find(run: Run, real_scenes: list[Path], tmp_path: Path) -> None:
    (scene,) = [path for path in real_scenes if path.stem == SCENE]
    outcome = run("export", MODEL, "-o", tmp_path / "model.onnx")
    assert outcome.code == 0, outcome.err
    peers, (own, side) = theirs(scene, tmp_path / "model.onnx"), ours(scene)
    tile = find_card(MODEL).tile_size
    assert tile < side < 2 * tile, "the scene must have two by two tiles, which both programs then put in its corners"
    # Only what stands alone: in GeoDeep boxes of any class suppress each other, and so spare what those would suppress.
    for some, others in ((peers, own), (own, peers)):
        alone = stands_alone(seen_by_one_tile(some, tile, side), own)
        assert len(alone) > 5
        assert_among(alone, others)
