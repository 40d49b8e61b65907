from __future__ import annotations

import pytest
from support.reference import found, truth

from lcageo.cli.evaluate_text import evaluation_text
from lcageo.metrics.summary import Evaluation, evaluate_detections

LEFT, RIGHT = (10, 10, 40, 40), (100, 100, 150, 160)


@pytest.fixture
def evaluation() -> Evaluation:
    """Image 1: the ship is found, the plane is found as a ship. Image 2: a ship where there is none. No dam at all."""
    truths = [truth([LEFT, RIGHT], [0, 1]), truth()]
    detections = [found([LEFT, RIGHT], [0.9, 0.8], [0, 0]), found([LEFT], [0.7], [0])]
    return evaluate_detections(("ship", "plane", "dam"), truths, detections)


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each line by its first word, of the last line that starts with it."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_classes_have_their_figures_and_those_without_objects_dashes(evaluation: Evaluation) -> None:
    classes, sizes, _ = evaluation_text(evaluation, None, voc=False).split("\n\n")
    table = rows(classes)
    assert table["class"] == ["objects", "AP50", "AP75", "AP50:95", "AR", "score", "precision", "recall", "F1"]
    assert table["ship"] == ["1", *["1.000"] * 4, "0.900", *["1.000"] * 3]
    assert table["plane"][:5] == ["1", *["0.000"] * 4]
    assert table["dam"] == ["0", *["-"] * 8]
    assert table["mean"] == ["2", *["0.500"] * 4]
    assert sizes.splitlines()[-1] == "2 images, 3 detections"


def test_11_point_figures_are_a_column_more(evaluation: Evaluation) -> None:
    plain, voc = (evaluation_text(evaluation, None, voc).split("\n\n")[0] for voc in (False, True))
    assert "VOC07 AP50" in voc and "VOC07" not in plain
    assert len(rows(voc)["mean"]) == len(rows(plain)["mean"]) + 1


def test_intervals_are_shown_only_with_a_bootstrap(evaluation: Evaluation) -> None:
    resampled = evaluation.resampled(20, seed=1)
    text = evaluation_text(evaluation, resampled, voc=False)
    low, high = resampled.map50_interval.low, resampled.map50_interval.high
    assert f"mAP50 0.500, {low:.3f} to {high:.3f} in 95 % of 20 resamples" in text
    assert "resamples" not in evaluation_text(evaluation, None, voc=False)


def test_confusions_are_counted_by_true_class_and_class_found(evaluation: Evaluation) -> None:
    table = evaluation_text(evaluation, None, voc=False).split("\n\n")[2].splitlines()
    assert table[0].split()[-4:] == ["1", "2", "3", "background"]
    cells = {line.split()[-5]: line.split()[-4:] for line in table[1:]}
    assert list(cells) == ["ship", "plane", "dam", "background"]
    counts = evaluation.confusion.counts
    for name, row in zip(cells, counts, strict=True):
        assert cells[name] == [f"{count}" if count else "." for count in row]
    assert cells["ship"][0] == "1"
