from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from mix_models import mixed
from support.untrained import make_untrained_model

from lcageo.runtime.catalog import ModelCard, find_card


@pytest.fixture
def pair(tmp_path: Path) -> tuple[ModelCard, ModelCard]:
    cards = []
    for number in (0, 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        make_untrained_model(folder, tile_size=256)
        cards.append(find_card(str(folder)))
    weights = safetensors.torch.load_file(cards[1].weights)
    content = safetensors.torch.save({name: value + 1 for name, value in weights.items()})
    cards[1].weights.write_bytes(content)

    return cards[0], replace(cards[1], sha256=hashlib.sha256(content).hexdigest())


def test_each_part_has_its_share(pair: tuple[ModelCard, ModelCard]) -> None:
    old, new = pair
    before, rows = safetensors.torch.load_file(old.weights), {old.classes[2]: 1.0}
    result = mixed(old, new, (0.25, 0.5, 0.0), rows)
    for name, value in result.items():
        moved = value - before[name]
        if not value.is_floating_point():
            continue
        if name.startswith("head.class_logits"):
            expected = torch.full((len(value),), 0.5)
            expected[2] = 1.0
            moved = moved.flatten(1).mean(1) if moved.dim() > 1 else moved
        else:
            branch = {
                "class_task": 0.5,
                "probability": 0.5,
                "box_task": 0.0,
                "log_distances": 0.0,
                "offsets": 0.0,
                "scales": 0.0,
            }
            expected = torch.tensor(next((share for key, share in branch.items() if f"head.{key}" in name), 0.25))
        assert torch.allclose(moved, expected.expand_as(moved), atol=1e-4), name


def test_models_that_differ_are_refused(pair: tuple[ModelCard, ModelCard]) -> None:
    old, new = pair
    with pytest.raises(SystemExit, match="differ in network or classes"):
        mixed(old, replace(new, classes=tuple(reversed(new.classes))), (0.5, 0.5, 0.5), {})


def test_a_class_that_the_models_lack_is_named(pair: tuple[ModelCard, ModelCard]) -> None:
    with pytest.raises(SystemExit, match="there is no class boat"):
        mixed(*pair, (0.5, 0.5, 0.5), {"boat": 1.0})
