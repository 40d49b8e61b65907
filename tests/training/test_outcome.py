"""What is told about a run's classes and its result."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.shapes import write_shapes

from lcageo.data.formats.coco import read_coco
from lcageo.detections import Detections
from lcageo.evaluation.images import evaluate_found
from lcageo.runtime.catalog import DEFAULT_MODEL, ModelCard, find_card
from lcageo.training.outcome import class_map_hint, known_otherwise, result_warnings, shared_data


@pytest.mark.parametrize(
    ("own", "known"),
    [("car", "vehicle"), ("Cars", "vehicle"), ("Storage_Tanks", "storage tank"), ("boat", "ship"),
     ("plane", "airplane"), ("tree", None), ("vehicle", None), ("dam", None)],
)  # fmt: skip
def test_a_class_is_known_under_another_name(own: str, known: str | None) -> None:
    classes = ("airplane", "ship", "storage tank", "vehicle")
    assert known_otherwise([own], classes) == ({} if known is None else {own: known})
    assert known_otherwise([own], ()) == {}


def test_data_that_the_start_was_trained_on_is_named(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    start = replace(card, recipe={"data": ["chips/train.json"]})
    assert shared_data(["other.json", str(Path("chips/train.json").absolute())], start) is not None
    assert shared_data(["other.json"], start) is None and shared_data(["chips/train.json"], card) is None


def test_the_hint_is_a_class_map_to_write() -> None:
    start = find_card(DEFAULT_MODEL)
    hint = class_map_hint(["bus", "car", "tree"], start)
    assert hint is not None and "'lca-s' has 'vehicle' for 'bus' and 'car'" in hint
    entries = hint.partition("[classes] ")[2].partition(" to a file")[0]
    assert tomllib.loads(f"[classes]\n{entries}") == {"classes": {"vehicle": ["bus", "car"]}}
    assert class_map_hint(["tree", "vehicle"], start) is None


@pytest.fixture
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def test_a_model_that_finds_nothing_is_not_handed_over_without_a_word(card: ModelCard, tmp_path: Path) -> None:
    val = read_coco(write_shapes(tmp_path / "val.json", count=3))
    objects = sum(len(one) for one in val.annotations)
    (line,) = result_warnings(replace(card, metrics={"mAP50": 0.0}), val, None)
    assert f"none of the {objects} objects" in line and "mAP50 0" in line and "--minutes" in line
    (line,) = result_warnings(replace(card, metrics={}), val, None)
    assert "has no objects" in line
    perfect = [Detections(one.boxes_xyxy, np.ones(len(one), np.float32), one.labels) for one in val.annotations]
    (line,) = result_warnings(replace(card, metrics={"mAP50": 1.0}), val, evaluate_found(val, perfect))
    assert "drawn towards 0.3" in line and "evaluate --layer" in line
