"""What a worker does, in this process: dividing tiles into units, and running one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scenes import noise, write_scene

from lcageo.config import Backend, DetectConfig, Engine, Precision
from lcageo.errors import DeviceError, ModelError
from lcageo.inference.cluster_worker import ModelWork, SceneWork, engine_of, predictor_of, run_unit, tapered, units
from lcageo.inference.plan import plan_scene
from lcageo.inference.runner import LocalRunner
from lcageo.runtime.catalog import find_card
from lcageo.scene.raster import open_scene
from lcageo.scene.tiles import plan_tiles

TORCH = Engine(Backend.TORCH, Precision.FP32, "cpu")


@given(
    width=st.integers(1, 9_000), height=st.integers(1, 9_000), min_units=st.integers(1, 50),
    max_tiles=st.integers(1, 99), whole_rows=st.booleans(), seed=st.integers(0, 3),
)  # fmt: skip
def test_every_tile_is_in_one_unit_of_work(
    width: int, height: int, min_units: int, max_tiles: int, whole_rows: bool, seed: int
) -> None:
    grid = plan_tiles(width, height, 256, 64)
    todo = np.flatnonzero(np.random.default_rng(seed).random(len(grid)) < 0.8)
    pieces = units(grid, todo, min_units, max_tiles, whole_rows)
    assert np.sort(np.concatenate([*pieces, np.zeros(0, np.int64)])).tolist() == todo.tolist()
    across = len(grid.col_starts)
    assert max(map(len, pieces), default=0) <= max(2 * max_tiles, across if whole_rows else 0)
    if not whole_rows:
        for piece in pieces:
            row, column = np.divmod(piece, across)
            assert max(np.ptp(row), np.ptp(column)) + 1 <= max(max_tiles, 1)


@given(sizes=st.lists(st.integers(1, 99), min_size=1, max_size=60), workers=st.integers(1, 20), batch=st.integers(1, 9))
def test_the_last_units_are_smaller_and_end_sooner(sizes: list[int], workers: int, batch: int) -> None:
    pieces = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    parts = tapered(pieces, workers, batch)
    assert np.concatenate(parts).tolist() == list(range(sum(sizes))), "each tile once, in order"
    assert all(len(part) >= min(batch, *sizes) for part in parts)
    whole, last = parts[: max(0, len(sizes) - workers)], parts[max(0, len(sizes) - workers) :]
    assert list(map(len, whole)) == sizes[: len(whole)]
    # Where each unit goes to the first idle worker, none waits longer than the largest of the last ones takes.
    assert max(map(len, last)) <= max(math.ceil(max(sizes) / 4), 2 * batch)


def test_a_unit_gives_what_the_local_runner_gives(untrained: Path, tmp_path: Path) -> None:
    model, tiles = ModelWork(find_card(str(untrained)), DetectConfig(score=0.03), TORCH), np.array([0, 3])
    with open_scene(write_scene(tmp_path / "a.tif", noise(400, 400))) as scene:
        plan = plan_scene(scene, model.card, model.config)
        outcomes, messages = run_unit(SceneWork.of(plan), model, 2, tiles)
        parts = [part for some in LocalRunner(predictor_of(model), 2).run(plan, tiles, print) for part in some]
    expected = [one for part in parts for one in part]
    assert [one.tile for one in outcomes] == [one.tile for one in expected] == [0, 3] and messages == []
    for one, other in zip(outcomes, expected, strict=True):
        assert one.found is not None and other.found is not None and len(one.found) > 0
        assert np.array_equal(one.found.boxes_xyxy, other.found.boxes_xyxy)


def test_a_model_is_loaded_once(untrained: Path) -> None:
    first, second = (ModelWork(find_card(str(untrained)), DetectConfig(score=0.03), TORCH) for _ in range(2))
    assert predictor_of(first) is predictor_of(second)
    assert engine_of(first) == (TORCH, predictor_of(first).batch)


def test_a_worker_with_another_version_or_model_is_refused(untrained: Path, tmp_path: Path) -> None:
    card = find_card(str(untrained))
    with pytest.raises(DeviceError, match=r"not 0\.0\.0; install the same version everywhere"):
        predictor_of(ModelWork(card, DetectConfig(), TORCH, version="0.0.0"))
    elsewhere = replace(find_card("lca-s"), weights=tmp_path / "gone.safetensors", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"another model 'lca-s' .* put the model's folder on storage"):
        predictor_of(ModelWork(elsewhere, DetectConfig(), TORCH))
