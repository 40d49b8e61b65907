"""Curves: the running mean against a plain loop, and pictures that show what the log holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from lcageo.errors import OutputError
from lcageo.training.curves import LOSSES, SCORES, curves_available, draw_curves, smoothed
from lcageo.training.log import METRICS_FILE, TrainingLog


@given(st.lists(st.floats(-100, 100), max_size=40), st.integers(0, 50))
def test_a_smoothed_value_is_the_mean_of_as_many_on_both_sides(values: list[float], reach: int) -> None:
    expected = []
    for place in range(len(values)):
        near = min(reach, place, len(values) - 1 - place)
        expected.append(np.mean(values[place - near : place + near + 1]))
    assert smoothed(np.array(values, np.float64), reach) == pytest.approx(np.array(expected, np.float64), abs=1e-9)


def drawn(folder: Path, validations: bool) -> np.ndarray:
    """The picture of a run of ten rows, as (h, w, 3)."""
    with TrainingLog(folder, tensorboard=False) as log:
        for step in range(10, 110, 10):
            losses = {"loss": 30 / step, "class_loss": 20 / step, "box_loss": 10 / step, "centerness_loss": 5 / step}
            log.train(step, step // 50, losses | {"learning_rate": 0.01})
            if validations and step % 50 == 0:
                log.validation(step, step // 50, {"mAP50": 0.6, "mAP75": 0.4, "mAP50_95": step / 400})
    assert curves_available()
    draw_curves(folder / METRICS_FILE, folder / "curves.png")
    return np.asarray(Image.open(folder / "curves.png").convert("RGB"))


def count(picture: np.ndarray, colour: str) -> int:
    """Number of pixels of a colour."""
    return int((picture == np.round(np.array(to_rgb(colour)) * 255)).all(axis=-1).sum())


def test_every_loss_and_score_is_drawn_in_its_colour(tmp_path: Path) -> None:
    picture = drawn(tmp_path, validations=True)
    for _, colour in (*LOSSES.values(), *SCORES.values()):
        assert count(picture, colour) > 100, colour


def test_before_the_first_validation_only_losses_are_drawn(tmp_path: Path) -> None:
    picture = drawn(tmp_path, validations=False)
    assert all(count(picture, colour) > 100 for _, colour in LOSSES.values())
    assert not any(count(picture, colour) for _, colour in SCORES.values())


@pytest.mark.parametrize("content", ["", "step,epoch,loss\n"])
def test_a_run_without_figures_still_has_a_picture(tmp_path: Path, content: str) -> None:
    (tmp_path / METRICS_FILE).write_text(content)
    draw_curves(tmp_path / METRICS_FILE, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1200, 1080)


def test_a_loss_that_is_nan_leaves_a_gap(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, tensorboard=False) as log:
        for step, loss in ((1, 1.0), (2, float("nan")), (3, float("inf")), (4, 2.0)):
            log.train(step, 0, {"loss": loss})
    draw_curves(tmp_path / METRICS_FILE, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, tensorboard=False) as log:
        log.train(1, 0, {"loss": 1.0})
    with pytest.raises(OutputError, match=r"curves '.*none/curves.png' cannot be written: No such file"):
        draw_curves(tmp_path / METRICS_FILE, tmp_path / "none" / "curves.png")
