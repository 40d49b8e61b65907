"""`lcageo models` as a user meets it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import Run

from lcageo.runtime.catalog import find_card, models_folder, write_card
from lcageo.runtime.onnx_structure import read_structure


def test_models_info_and_verify(run: Run, untrained: Path, tmp_path: Path) -> None:
    assert "untrained" in run("models", "info", untrained).out
    table = run("models", "info", "lca-s").out
    card = find_card("lca-s")
    for name, threshold in card.thresholds.items():
        figure = card.metrics["vhr10"]["per_class_AP50"][name]
        assert re.search(rf"^{name} +{threshold:.2f} .*{figure:.3f}", table, re.MULTILINE), name
    assert json.loads(run("models", "info", untrained, "--json").out)["tile_size"] == 256
    assert run("models", "verify", untrained).out.startswith("untrained: intact, SHA-256 ")
    assert run("models", "verify", "nonsense").code == 1
    assert run("models", "list").code == 0
    graph = tmp_path / "copy" / "lca-s.graph.onnx"
    shutil.copytree(models_folder(), graph.parent)
    graph.write_bytes(graph.read_bytes().replace(b"Sigmoid", b"HardSig"))
    damaged = run("models", "verify", graph.parent / "lca-s.toml")
    assert damaged.code == 1 and "lca-s.graph.onnx' is damaged" in damaged.err


def test_models_list_shows_what_is_shipped(run: Run, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lcageo.runtime import catalog

    monkeypatch.setattr(catalog, "shipped_cards", lambda: [find_card(str(untrained))])
    assert re.search(r"^untrained +10 +0.1-2 +\d+\.\d +see its licence +not measured$", run("models", "list").out, re.M)
    assert json.loads(run("models", "list", "--json").out)[0]["name"] == "untrained"
    assert "intact" in run("models", "verify").out


def test_figures_on_validation_images_are_the_mean_of_the_sets(run: Run, untrained: Path, tmp_path: Path) -> None:
    card = find_card(str(untrained))
    figures = {"images": 5, "mAP75": 0.1, "mAP50_95": 0.1}
    sets = {name: {**figures, "mAP50": mean} for name, mean in (("far", 0.5), ("away", 0.7))}
    (tmp_path / card.weights.name).write_bytes(card.read_weights())
    write_card(replace(card, metrics=sets), tmp_path / "other.toml")
    text = run("models", "info", "other.toml").out
    assert re.search(r"^mAP50 on validation images +0\.600 \(2 sets\)$", text, re.MULTILINE)
    assert text.index("validation images") < text.index("SHA-256")


def test_rendered_images_do_not_count_as_validation_imagery(run: Run, untrained: Path, tmp_path: Path) -> None:
    card = find_card(str(untrained))
    figures = {"images": 5, "mAP75": 0.1, "mAP50_95": 0.1}
    sets = {"far": {**figures, "mAP50": 0.5}, "drawn": {**figures, "mAP50": 0.9, "images": 1, "is_rendered": True}}
    (tmp_path / card.weights.name).write_bytes(card.read_weights())
    write_card(replace(card, metrics=sets), tmp_path / "other.toml")
    text = run("models", "info", "other.toml").out
    assert re.search(r"^mAP50 on validation images +0\.500 \(1 set\)$", text, re.MULTILINE)
    assert re.search(r"^on far .*\(5 images\)$", text, re.MULTILINE)
    assert re.search(r"^on drawn .*\(1 rendered image\)$", text, re.MULTILINE)


def test_the_mean_of_a_shipped_model_is_that_of_its_real_sets(run: Run) -> None:
    card = find_card("lca-s")
    real = [found["mAP50"] for name, found in card.metrics.items() if name != "rendered"]
    assert len(real) == len(card.metrics) - 1
    (row,) = [line for line in run("models", "list").out.splitlines() if re.match("lca-s +yes ", line)]
    assert row.endswith(f"{sum(real) / len(real):.3f} ({len(real)} sets)")


def test_the_default_model_is_first_and_marked(run: Run) -> None:
    rows = run("models", "list").out.splitlines()
    assert re.match(r"lca-s +yes ", rows[1]) and "lca-s finds: airplane, ship" in "\n".join(rows)


def test_a_graph_is_written_beside_the_weights_and_is_then_used(run: Run, untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(untrained, tmp_path / "model")
    outcome = run("models", "graph", "model")
    assert outcome.code == 0 and Path(outcome.out.strip()) == tmp_path / "model" / "untrained.graph.onnx"
    assert read_structure(find_card("model")) is not None
    refused = run("models", "graph", "lca-s-int8")
    assert refused.code == 2 and "is a graph already" in refused.err
