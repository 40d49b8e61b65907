from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.reference import found, truth

from lcageo.cli.evaluate_text import figures_text
from lcageo.evaluation.sets import SetFigures
from lcageo.metrics.bootstrap import Resampled
from lcageo.metrics.lengths import empty_figures, length_figures
from lcageo.metrics.summary import Evaluation, evaluate_detections

LEFT, RIGHT = (10, 10, 40, 40), (100, 100, 150, 160)


CLASSES = ("ship", "plane", "dam")


@pytest.fixture
def figures() -> SetFigures:
    """Image 1: the ship is found, the plane is found as a ship. Image 2: a ship where there is none. No dam at all."""
    truths = [truth([LEFT, RIGHT], [0, 1]), truth()]
    detections = [found([LEFT, RIGHT], [0.9, 0.8], [0, 0]), found([LEFT], [0.7], [0])]
    evaluation = evaluate_detections(CLASSES, truths, detections)
    empty = empty_figures(CLASSES, truths, detections, dict.fromkeys(CLASSES, 0.5))
    return SetFigures("/data/a/val.json", evaluation, length_figures(evaluation.matches, np.full(3, 0.5)), empty)


@pytest.fixture
def evaluation(figures: SetFigures) -> Evaluation:
    return figures.evaluation


def evaluation_text(figures: SetFigures, resampled: Resampled | None, voc: bool) -> str:
    return figures_text(figures, [figures], resampled, voc)


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each line by its first word, of the last line that starts with it."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_classes_have_their_figures_and_those_without_objects_dashes(figures: SetFigures) -> None:
    classes, lengths, sizes, _ = evaluation_text(figures, None, voc=False).split("\n\n")
    table = rows(classes)
    assert table["class"] == ["objects", "AP50", "AP75", "AP50:95", "AR", "score", "precision", "recall", "F1"]
    assert table["ship"] == ["1", *["1.000"] * 4, "0.900", *["1.000"] * 3]
    assert table["plane"][:5] == ["1", *["0.000"] * 4]
    assert table["dam"] == ["0", *["-"] * 8]
    assert table["mean"] == ["2", *["0.500"] * 4]
    assert sizes.splitlines()[-1] == "2 images, 3 detections"
    assert rows(lengths)["ship"] == ["-", "-", "-", "1.000", "(1)", "-", "-"]
    assert rows(lengths)["plane"] == ["-", "-", "-", "-", "0.000", "(1)", "-"]
    assert "1 image without objects" in sizes and "1 false object above the model's thresholds" in sizes


def test_sets_have_a_row_each_if_there_are_several(figures: SetFigures) -> None:
    other = replace(figures, name="/data/b/val.json")
    table = figures_text(figures, [figures, other], None, voc=False).split("\n\n")[0]
    assert table.split()[:7] == ["set", "images", "objects", "mAP50", "mAP75", "mAP50:95", "false/Mpx"]
    assert list(rows(table)) == ["set", "a/val.json", "b/val.json"]
    assert rows(table)["b/val.json"][:5] == ["2", "2", *["0.500"] * 3]
    assert rows(table)["b/val.json"][6:] == ["1.000", "0.000", "-"]


def test_11_point_figures_are_a_column_more(figures: SetFigures) -> None:
    plain, voc = (evaluation_text(figures, None, voc).split("\n\n")[0] for voc in (False, True))
    assert "VOC07 AP50" in voc and "VOC07" not in plain
    assert len(rows(voc)["mean"]) == len(rows(plain)["mean"]) + 1


def test_intervals_are_shown_only_with_a_bootstrap(figures: SetFigures) -> None:
    resampled = figures.evaluation.resampled(20, seed=1)
    text = evaluation_text(figures, resampled, voc=False)
    low, high = resampled.map50_interval.low, resampled.map50_interval.high
    assert f"mAP50 0.500, {low:.3f} to {high:.3f} in 95 % of 20 resamples" in text
    assert "resamples" not in evaluation_text(figures, None, voc=False)


def test_confusions_are_counted_by_true_class_and_class_found(figures: SetFigures, evaluation: Evaluation) -> None:
    table = evaluation_text(figures, None, voc=False).split("\n\n")[3].splitlines()
    assert table[0].split()[-4:] == ["1", "2", "3", "background"]
    cells = {line.split()[-5]: line.split()[-4:] for line in table[1:]}
    assert list(cells) == ["ship", "plane", "dam", "background"]
    counts = evaluation.confusion.counts
    for name, row in zip(cells, counts, strict=True):
        assert cells[name] == [f"{count}" if count else "." for count in row]
    assert cells["ship"][0] == "1"
