"""`lcageo models` as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.commands import Run

from lcageo.runtime.catalog import find_card


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


def test_models_list_shows_what_is_shipped(run: Run, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lcageo.cli import models
    from lcageo.runtime.catalog import find_card

    monkeypatch.setattr(models, "shipped_cards", lambda: [find_card(str(untrained))])
    assert re.search(r"untrained +lca +10 +256 +0.1-2 +\d", run("models", "list").out)
    assert json.loads(run("models", "list", "--json").out)[0]["name"] == "untrained"
    assert "intact" in run("models", "verify").out
