from pathlib import Path

import pytest
from support.bright import CLASSES, BrightSquares, bright_card
from support.bright_sets import bright_image, bright_set

from lcageo.evaluation.images import evaluate_found, find_objects
from lcageo.evaluation.sets import set_figures, together


def test_the_figures_of_a_set_are_at_the_thresholds_of_the_card(tmp_path: Path) -> None:
    empty = bright_image(tmp_path / "none.png", 128, 128, [])
    shown = bright_image(tmp_path / "some.png", 128, 128, [(10, 10, 12, 250), (60, 60, 30, 250)])
    predictor = BrightSquares(bright_card(128))
    labelled = bright_set(empty, shown)
    figures = set_figures(labelled, find_objects(predictor, labelled), predictor.card, 100)
    assert figures.evaluation.map50 == 1 and figures.empty.false == 0
    assert figures.empty.images == 1 and figures.empty.megapixels == pytest.approx(128 * 128 / 1e6)
    described = figures.as_json()
    lengths = described["lengths_px"][CLASSES[1]]
    assert {name: one["found"] for name, one in lengths.items()} == {"12-20": 1, "20-40": 1}
    assert described["images_of_nothing"]["false_per_megapixel"] == 0


def test_sets_together_have_all_images_and_detections(tmp_path: Path) -> None:
    predictor = BrightSquares(bright_card(128))
    sets = [
        bright_set(bright_image(tmp_path / f"{index}.png", 128, 128, [(10, 10 * index, 12, 250)] * (index > 0)))
        for index in range(3)
    ]
    measured = [(one, find_objects(predictor, one)) for one in sets]
    labelled, found = together(measured)
    assert [one.image.name for one in labelled.annotations] == ["0.png", "1.png", "2.png"] and len(found) == 3
    assert evaluate_found(labelled, found).map50 == 1 and labelled.classes == sets[0].classes
