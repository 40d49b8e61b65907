"""Figures of a layer against its truth."""

from __future__ import annotations

import json
from pathlib import Path

from support.compared_layers import UTM, layer, square

from lcageo.evaluation.layers import evaluate_layer


def test_figures_are_the_shares_of_what_was_found(pair: tuple[Path, Path]) -> None:
    evaluation = evaluate_layer(*pair)
    assert evaluation.table() == [
        ("class", "truth", "found", "true positives", "false positives", "misses", "precision", "recall", "F1", "AP50"),
        ("dam", "1", "1", "0", "1", "1", "0.000", "0.000", "0.000", "0.000"),
        # The second is the first's double. Precision 1 up to recall 1/3, then 2/3 up to 2/3: 34 and 33 of 101 recalls.
        ("ship", "3", "3", "2", "1", "1", "0.667", "0.667", "0.667", f"{(34 + 33 * 2 / 3) / 101:.3f}"),
        ("all", "4", "4", "2", "2", "2", "0.500", "0.500", "0.500", f"{(34 + 33 * 2 / 3) / 202:.3f}"),
    ]
    assert evaluation.crs == UTM and not evaluation.warnings


def test_json_holds_everything_and_is_strict(pair: tuple[Path, Path], tmp_path: Path) -> None:
    truth = layer(tmp_path / "ships.gpkg", [square(0, 0)], **{"class": ["ship"]})
    evaluation = evaluate_layer(pair[0], truth, iou=0.75)
    described = json.loads(json.dumps(evaluation.as_json(), allow_nan=False))
    assert described["layer"] == str(pair[0]) and described["iou"] == 0.75 and described["crs"] == UTM
    assert described["classes"][1] == {
        "class": "dam", "truth": 0, "found": 1, "true_positives": 0, "false_positives": 1, "misses": 0,
        "precision": 0.0, "recall": None, "f1": 0.0, "average_precision": None,
    }  # fmt: skip
    assert described["overall"]["average_precision"] == 1.0  # of the one class that has true objects
    assert evaluation.table()[0][-1] == "AP75"
