"""What is shipped: small enough for a laptop, described without anybody's paths, and as good as its card says."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import DATA, REPOSITORY

from lcageo.config import BENCHMARK
from lcageo.data.annotations import SplitName
from lcageo.data.classmap import load_class_map
from lcageo.data.sets import read_sets
from lcageo.detector.count import count_params, true_macs
from lcageo.detector.presets import build_network
from lcageo.evaluation.images import evaluate_set, kept_of_tiles
from lcageo.evaluation.scenes import Tiling
from lcageo.network_config import NetworkConfig, Preset
from lcageo.runtime.catalog import DEFAULT_MODEL, find_card, shipped_cards
from lcageo.runtime.predictor import load_predictor

CARDS = shipped_cards()


@pytest.mark.parametrize("name", [card.name for card in CARDS])
def test_a_shipped_model_is_small_and_fully_described(name: str) -> None:
    card = find_card(name)
    network, side = build_network(card.network), 800
    large = build_network(NetworkConfig(Preset.LCA, len(card.classes), "resnet50"))
    assert count_params(network) <= 12e6 and card.weights.stat().st_size <= 25e6
    assert true_macs(network, side, side) <= 0.25 * true_macs(large, side, side)
    assert set(card.thresholds) == set(card.classes)
    assert set(card.size_m) == set(card.classes)
    assert card.metrics and card.recipe["commit"]
    assert "research" in card.licence or ("CC BY" in card.licence and "NWPU" not in card.trained_on)
    text = (card.weights.parent / f"{name}.toml").read_text("utf-8")
    assert "/" not in card.trained_on and '"/' not in text and str(Path.home()) not in text


@pytest.mark.slow
def test_the_default_model_is_as_good_as_its_card_says() -> None:
    path = DATA / "vhr10" / "val.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no '{path}'; name the folder of vhr10 with LCAGEO_DATA")
    card = find_card(DEFAULT_MODEL)
    class_map = load_class_map(REPOSITORY / "examples" / "lca_s" / "lca-s-classes.toml")
    predictor = load_predictor(card, kept_of_tiles(BENCHMARK), "cpu")
    found = evaluate_set(predictor, read_sets([path], SplitName.VAL, card.classes, class_map), tiling=Tiling())
    assert found.map50 == pytest.approx(card.metrics["vhr10"]["mAP50"], abs=0.005)
    assert found.map50_95 == pytest.approx(card.metrics["vhr10"]["mAP50_95"], abs=0.005)
