from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from lcageo.errors import ConfigError, ModelError, UsageError
from lcageo.runtime import catalog
from lcageo.runtime.catalog import FOLDER_CARD, find_card, read_card, shipped_cards, write_card


@pytest.fixture
def edited(untrained: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copies the untrained model's card with some entries changed (None: left out)."""

    def edit(**changes: object) -> Path:
        entries = {**tomllib.loads((untrained / FOLDER_CARD).read_text()), **changes}
        path = tmp_path / "card.toml"
        path.write_text(tomli_w.dumps({name: value for name, value in entries.items() if value is not None}))
        return path

    return edit


def test_a_model_is_found_by_folder_and_by_card(untrained: Path) -> None:
    assert find_card(str(untrained)) == find_card(str(untrained / FOLDER_CARD))


def test_a_shipped_model_is_found_by_name(untrained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = read_card(untrained / FOLDER_CARD)
    (tmp_path / card.weights.name).write_bytes(card.weights.read_bytes())
    write_card(card, tmp_path / "untrained.toml")
    monkeypatch.setattr(catalog, "models_folder", lambda: tmp_path)
    assert [card.name for card in shipped_cards()] == ["untrained"]
    assert find_card("untrained") == replace(card, weights=tmp_path / card.weights.name)


def test_an_unknown_model_says_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"there is no model 'nonsense'.*shipped models"):
        find_card("nonsense")


def test_detect_without_a_model_says_that_none_is_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalog, "models_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match="no trained model is shipped"):
        find_card(None)


def test_a_card_reads_back_as_written(untrained: Path, tmp_path: Path) -> None:
    card = replace(
        read_card(untrained / FOLDER_CARD),
        thresholds={"ship": 0.4},
        metrics={"mAP50": 0.5},
        weights=tmp_path / "a.safetensors",
    )
    write_card(card, tmp_path / "a.toml")
    assert read_card(tmp_path / "a.toml") == card


def test_every_shipped_card_is_whole() -> None:
    for card in shipped_cards():
        card.read_weights()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": "../other.safetensors"}, "beside the card"),
        ({"weights": "/etc/passwd"}, "beside the card"),
        ({"weights": "model.pt"}, "beside the card"),
        ({"classes": ["one"]}, "classes"),
        ({"classes": ["ship"] * 10}, "classes"),
        ({"tile_size": 500}, "tile_size"),
        ({"tile_size": 512.0}, "tile_size"),
        ({"largest_object_px": 100.5}, "largest_object_px"),
        ({"name": 5}, "name"),
        ({"trained_on": 3}, "trained_on"),
        ({"thresholds": [0.5]}, "thresholds"),
        ({"network": {"preset": "lca", "num_classes": 10, "channels": 32.0}}, "whole numbers"),
        ({"gsd_m": [2.0, 1.0]}, "gsd_m"),
        ({"gsd_m": [1.0]}, "cannot be used"),
        ({"std": [1.0, 0.0, 1.0]}, "std"),
        ({"mean": "grey"}, "cannot be used"),
        ({"sha256": "abc"}, "sha256"),
        ({"thresholds": {"dog": 0.5}}, "thresholds"),
        ({"thresholds": {"ship": 1.5}}, "thresholds"),
        ({"largest_object_px": 0}, "largest_object_px"),
        ({"network": {"preset": "yolo", "num_classes": 10}}, "yolo"),
        ({"network": {"preset": "lca", "num_classes": 10, "depth": 3}}, "depth"),
        ({"colour": "red"}, "unknown entries"),
        ({"licence": None}, "licence"),
        ({"network": None}, "network"),
    ],
)
def test_entries_that_are_not_allowed_are_named(
    edited: Callable[..., Path], changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        read_card(edited(**changes))


def test_a_missing_or_broken_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        find_card(str(tmp_path))
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(ModelError, match="not valid TOML"):
        find_card(str(tmp_path / "broken.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="not valid TOML"):
        find_card(str(tmp_path / "binary.toml"))


def test_altered_and_missing_weights_are_refused(untrained: Path, edited: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"weights .* cannot be read"):
        read_card(edited()).read_weights()
    path = edited()
    (path.parent / "model.safetensors").write_bytes((untrained / "model.safetensors").read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match="SHA-256"):
        read_card(path).read_weights()


def test_class_ids_name_what_is_unknown(untrained: Path) -> None:
    card = find_card(str(untrained))
    assert card.class_ids(("ship", "vehicle")) == (1, 9)
    assert card.class_ids(()) == tuple(range(10))
    with pytest.raises(UsageError, match="no class 'boat'; it has: airplane, ship"):
        card.class_ids(("ship", "boat"))


def test_the_card_itself_refuses_too(untrained: Path) -> None:
    with pytest.raises(ConfigError, match="tile_size"):
        replace(find_card(str(untrained)), tile_size=1)
