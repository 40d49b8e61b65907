from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from support.onnx_detectors import write_detector

from lcageo import appearance
from lcageo.calibration import Calibration
from lcageo.cli.detect_options import ONNX
from lcageo.cli.models import model_info
from lcageo.errors import ConfigError, ModelError, UsageError
from lcageo.network_config import NetworkConfig
from lcageo.runtime import catalog
from lcageo.runtime.catalog import FOLDER_CARD, ModelCard, find_card, read_card, shipped_cards, write_card
from lcageo.runtime.layouts import Layout
from lcageo.scene.look import appearance_of


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path for cards in a folder of its own, without weights."""
    return tmp_path_factory.mktemp("fuzzed") / "fuzz.toml"


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


def test_an_unknown_model_lists_those_that_exist() -> None:
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
        calibration={"ship": Calibration(1.25, 0.5, -0.125, 0.75)},
        appearance=appearance_of(np.random.default_rng(0).normal(size=(40, appearance.NUMBERS))),
        metrics={"mAP50": 0.5},
        weights=tmp_path / "a.safetensors",
    )
    write_card(card, tmp_path / "a.toml")
    assert read_card(tmp_path / "a.toml") == card


def test_every_shipped_card_has_intact_weights() -> None:
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
        ({"restriction": 3}, "restriction"),
        ({"restriction": "two\nlines"}, "restriction"),
        ({"thresholds": [0.5]}, "thresholds"),
        ({"network": {"preset": "lca", "num_classes": 10, "channels": 32.0}}, "whole numbers"),
        ({"gsd_m": [2.0, 1.0]}, "gsd_m"),
        ({"gsd_m": [1.0]}, "cannot be used"),
        ({"std": [1.0, 0.0, 1.0]}, "std"),
        ({"mean": "grey"}, "cannot be used"),
        ({"mean": [10**400, 0, 0]}, "cannot be used"),
        ({"mean": [256.0, 0.0, 0.0]}, "mean"),
        ({"gsd_m": [1.0, float("inf")]}, "gsd_m"),
        ({"metrics": {"made": date(2024, 2, 29)}}, "metrics"),
        ({"metrics": {"images": 3, "mAP50": "good"}}, "figures are numbers"),
        ({"metrics": {"far": {"images": 3, "is_rendered": "no"}}}, "figures are numbers"),
        ({"recipe": {"made": [date(2024, 2, 29)]}}, "recipe"),
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
    for content in (b"\xff\xfe\x00", b"name = " + b"9" * 5000, b"name = " + b"[" * 5000):
        (tmp_path / "binary.toml").write_bytes(content)
        with pytest.raises(ModelError, match="not valid TOML"):
            find_card(str(tmp_path / "binary.toml"))


@pytest.mark.parametrize(
    ("recipe", "enlarges", "fixed"),
    [
        ({}, True, False),
        ({"native": False, "pretrained": False}, True, False),
        ({"native": True}, False, False),
        ({"pretrained": True}, True, True),
        ({"backbone_weights": "resnet50.pth"}, True, True),
        ({"start_from": "a", "fixed_statistics": True}, True, True),
    ],
)
def test_how_a_model_was_trained_says_how_it_goes_on(
    untrained: Path, recipe: dict[str, Any], enlarges: bool, fixed: bool
) -> None:
    card = replace(find_card(str(untrained)), recipe=recipe)
    assert (card.enlarges, card.has_fixed_statistics) == (enlarges, fixed)


def test_altered_and_missing_weights_are_refused(untrained: Path, edited: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"weights .* cannot be read"):
        read_card(edited()).read_weights()
    with pytest.raises(ModelError, match="null byte"):
        read_card(edited(weights="a\0.safetensors")).read_weights()
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


SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["ship", "lca", "resnet18", "a\0.safetensors", "mAP50", 10**400, date(2024, 2, 29)]),
)
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))
TABLES = st.dictionaries(st.sampled_from(["ship", "images", "mAP50", "per_class_AP50"]), ANY, max_size=3)
ENTRIES = st.sampled_from([entry.name for entry in fields(ModelCard)])
SETTINGS = st.sampled_from([entry.name for entry in fields(NetworkConfig)])
NUMBERS = st.lists(st.integers(-1, 300) | st.floats(), min_size=2, max_size=3)


def use(path: Path) -> None:
    """Reads a card and everything that other code reads from it."""
    card = read_card(path)
    assert all(0 <= value <= 255 for value in card.fill)
    assert card.class_ids(card.classes) == card.class_ids(())
    nothing_said = {parameter.name: parameter.default for parameter in ONNX.parameters()}
    for as_json in (False, True):
        model_info(model=str(path), as_json=as_json, **nothing_said)
    with pytest.raises(ModelError, match="weights of model"):
        card.read_weights()  # there are none


@given(st.dictionaries(ENTRIES, ANY | NUMBERS | TABLES, max_size=2), st.dictionaries(SETTINGS, ANY, max_size=1))
def test_no_entries_raise_anything_but_a_model_error(
    untrained: Path, fuzzed: Path, changes: dict[str, Any], network: dict[str, Any]
) -> None:
    entries = tomllib.loads((untrained / FOLDER_CARD).read_text())
    entries["network"] |= network
    fuzzed.write_bytes(tomli_w.dumps(entries | changes).encode())
    try:
        use(fuzzed)
    except ModelError as error:
        assert "cannot be used" in str(error)


@given(st.data(), st.binary(max_size=20) | st.sampled_from([b"[" * 5000, b"9" * 5000, b"''", b"=", b"\n", b"nan"]))
def test_no_bytes_raise_anything_but_a_model_error(
    untrained: Path, fuzzed: Path, data: st.DataObject, change: bytes
) -> None:
    written = (untrained / FOLDER_CARD).read_bytes()
    place = data.draw(st.integers(0, len(written)))
    fuzzed.write_bytes(written[:place] + change + written[place + data.draw(st.integers(0, 20)) :])
    with suppress(ModelError):
        use(fuzzed)


def test_a_folder_of_results_does_not_hide_the_shipped_model_of_its_name(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lca-s").mkdir()
    assert find_card("lca-s").classes == shipped_cards()[-1].classes
    shutil.copytree(untrained, tmp_path / "lca-s", dirs_exist_ok=True)
    assert find_card("lca-s").name == "untrained"


def test_cards_that_other_programs_saved_are_read(edited: Callable[..., Path], untrained: Path) -> None:
    """A byte order mark, as PowerShell writes, and the upper case of its checksums."""
    card = find_card(str(untrained))
    path = edited(sha256=card.sha256.upper())
    path.write_text(path.read_text("utf-8"), "utf-8-sig")
    assert read_card(path).sha256 == card.sha256


def test_what_is_wrong_in_a_card_of_another_programs_model_is_named(tmp_path: Path) -> None:
    write_detector(tmp_path / "a.onnx", Layout.ULTRALYTICS)
    for lines, words in (
        ('classes = "car"', r"classes = 'car' is a text, no list; put it in \[ \]"),
        ('weights = "b.onnx"', r"b\.onnx"),
        ("layout = 8", "its layout '8' is not known"),
    ):
        (tmp_path / "card.toml").write_text(f'weights = "a.onnx"\n{lines}' if "weights" not in lines else lines)
        with pytest.raises(ModelError, match=words):
            find_card(str(tmp_path / "card.toml"))
    (tmp_path / "a.onnx").rename(tmp_path / "A.ONNX")
    assert find_card(str(tmp_path / "A.ONNX")).layout is Layout.ULTRALYTICS
