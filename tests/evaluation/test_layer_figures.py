"""Figures of a layer against its truth."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import geopandas
from support.compared_layers import UTM, layer, square
from typer.testing import CliRunner

from lcageo.cli.app import app
from lcageo.data.classmap import ClassMap
from lcageo.evaluation.layer_figures import LayerEvaluation
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
        "precision": 0.0, "recall": None, "f1": 0.0, "average_precision": None, "best_score": None, "best_f1": None,
    }  # fmt: skip
    assert described["overall"]["average_precision"] == 1.0  # of the one class that has true objects
    assert evaluation.table()[0][-1] == "AP75"


def test_the_best_threshold_is_that_of_a_slow_search(tmp_path: Path) -> None:
    """Found at the scores 0.9, 0.8 (wrong), 0.7, 0.2 (wrong) and 0.1 (wrong), of four true ones."""
    truth = layer(tmp_path / "t.gpkg", [square(100 * at, 0) for at in range(4)], **{"class": ["ship"] * 4})
    shapes = [square(0, 0), square(0, 500), square(100, 0), square(0, 900), square(0, 700)]
    scores = [0.9, 0.8, 0.7, 0.2, 0.1]
    found = layer(tmp_path / "f.gpkg", shapes, **{"class": ["ship"] * 5, "score": scores})

    def f1(minimum: float) -> float:
        one = evaluate_layer(found, truth, score=minimum).overall
        return one.f1

    best = max(scores, key=f1)
    evaluation = evaluate_layer(found, truth)
    assert evaluation.per_class[0].as_json()["best_score"] == best == 0.7
    line, command = evaluation.best_thresholds()
    assert line.startswith(
        "best threshold of ship: 0.7, with F1 0.571, precision 0.667, recall 0.500; measured on only 4"
    )
    assert command == f"to apply: lcageo filter {found} OUT.gpkg --per-class ship=0.7"
    odd = tmp_path / "it's found.gpkg"
    named = layer(odd, shapes, **{"class": ["a, b", *["white ship"] * 4], "score": scores})
    true = layer(tmp_path / "u.gpkg", shapes[:3], **{"class": ["a, b", "white ship", "white ship"]})
    *_, command = evaluate_layer(named, true).best_thresholds()
    words = shlex.split(command.removeprefix("to apply: "))
    assert words[2] == str(odd) and words[-2:] == ["--per-class", "white ship=0.7"]


def test_a_layer_that_ends_at_its_best_threshold_is_told_of_candidates(pair: tuple[Path, Path], tmp_path: Path) -> None:
    truth = layer(tmp_path / "t.gpkg", [square(0, 0), square(300, 0)], **{"class": ["ship"] * 2})
    found = layer(tmp_path / "f.gpkg", [square(0, 0)], **{"class": ["ship"], "score": [0.5]})
    assert "a lower one may be better (detect --keep 0.05)" in evaluate_layer(found, truth).best_thresholds()[0]
    drawn = layer(tmp_path / "d.gpkg", [square(0, 0)], **{"class": ["ship"]})
    assert evaluate_layer(drawn, truth).best_thresholds() == []


def test_the_command_applies_the_thresholds_to_the_layers_own_classes(tmp_path: Path) -> None:
    shapes = [square(100 * at, 0) for at in range(4)]
    truth = layer(tmp_path / "t.gpkg", shapes[:3], kind=["vehicle"] * 3)
    kinds, scores = ["car", "truck", "car", "truck"], [0.9, 0.8, 0.7, 0.2]
    found = layer(tmp_path / "f.gpkg", shapes, name=["x"] * 4, kind=kinds, score=scores)
    class_map = ClassMap(targets={"car": "vehicle", "truck": "vehicle"})
    options = {"class_map": class_map, "class_field": "kind"}
    assert _applied(evaluate_layer(found, truth, **options), tmp_path / "a.gpkg") == [0.9, 0.8, 0.7]  # type: ignore[arg-type]
    unnamed = layer(tmp_path / "u.gpkg", shapes[:3])
    plain = layer(tmp_path / "p.gpkg", shapes, **{"class": kinds, "score": [0.9, 0.8, 0.12941, 0.1293]})
    assert _applied(evaluate_layer(plain, unnamed), tmp_path / "b.gpkg") == [0.9, 0.8, 0.12941]


def _applied(evaluation: LayerEvaluation, out: Path) -> list[float]:
    """The scores that are left by the command that an evaluation prints."""
    *_, command = evaluation.best_thresholds()
    words = [
        str(out) if word == "OUT.gpkg" else word for word in shlex.split(command.removeprefix("to apply: lcageo "))
    ]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    return sorted(geopandas.read_file(out, layer=out.stem)["score"].tolist(), reverse=True)
