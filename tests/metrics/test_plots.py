"""Plots: they exist, they show what they should, and matplotlib is imported only when needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.reference import Case, found, random_case, truth

from lcageo.metrics.plots import draw_confusion, draw_curves
from lcageo.metrics.summary import Evaluation, evaluate_detections


def evaluate(case: Case) -> Evaluation:
    return evaluate_detections(case.classes, case.truths, case.found)


@pytest.mark.parametrize(
    "case",
    [
        random_case(1),
        random_case(2, classes=25),
        Case(("a",), [], []),
        replace(random_case(1), classes=("x$_{$", "%", "_b")),
    ],
)
def test_pictures_are_drawn_for_few_many_and_no_classes(case: Case, tmp_path: Path) -> None:
    evaluation = evaluate(case)
    draw_curves(evaluation, tmp_path / "curves.png")
    draw_confusion(evaluation.confusion, tmp_path / "confusion.png")
    for name in ("curves.png", "confusion.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 300 and image.format == "PNG"


def test_a_better_model_has_another_picture(tmp_path: Path) -> None:
    box = [[0, 0, 10, 10]]
    for name, detections in (("good", found(box, [0.9], [0])), ("bad", found())):
        evaluation = evaluate_detections(("a",), [truth(box, [0], labelled=(0,))], [detections])
        draw_curves(evaluation, tmp_path / f"{name}.png")
        draw_confusion(evaluation.confusion, tmp_path / f"{name} confusion.png")
    for what in ("", " confusion"):
        good, bad = (np.asarray(Image.open(tmp_path / f"{name}{what}.png")) for name in ("good", "bad"))
        assert good.shape != bad.shape or (good != bad).any()


def test_metrics_are_measured_without_matplotlib_and_drawn_without_pyplot(tmp_path: Path) -> None:
    code = """
import sys
import lcageo.metrics.summary, lcageo.metrics.plots
assert "matplotlib" not in sys.modules
evaluation = lcageo.metrics.summary.evaluate_detections(("a",), [], [])
lcageo.metrics.plots.draw_confusion(evaluation.confusion, sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.png"], check=True)
