"""What `lcageo train` tells before, while and after the model learns."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support.commands import Run
from support.shapes import write_shapes

SMALL = (
    "--backbone", "resnet18", "--backbone-width", "16", "--channels", "16", "--head-convs", "1", "--norm", "gn",
    "--imgsz", "128", "--device", "cpu", "--workers", "0", "--precision", "fp32",
)  # fmt: skip


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    return write_shapes(tmp_path / "train.json", 6)


def test_the_steps_that_fit_are_told_and_shown(run: Run, shapes: Path, tmp_path: Path) -> None:
    done = run("train", "--data", shapes, "--val", shapes, "--out", "a", "--minutes", "0.1", *SMALL)
    assert done.code == 0, done.err
    found = re.search(r"about ([\d,]+) steps of (\d+) crops of 128 x 128 pixels fit into 0.1 minutes", done.err)
    assert found is not None
    recipe = tomllib.loads((tmp_path / "a/recipe.toml").read_text())
    assert recipe["batch"] == int(found[2]) and recipe["validations"] == 1
    assert "finds none of the" in done.err or "drawn towards 0.3" in done.err


def test_few_steps_are_warned_of_beforehand(run: Run, shapes: Path) -> None:
    done = run("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "1", "--batch", "2", *SMALL)
    assert done.code == 0 and "warning: 3 steps are few" in done.err


def test_a_resnet_without_weights_is_told_where_torchvisions_are(run: Run, shapes: Path) -> None:
    fixed = ("--preset", "fcos", "--imgsz", "128", "--epochs", "1", "--device", "cpu")
    refused = run("train", "--data", shapes, "--val", shapes, "--out", "a", *fixed)
    assert refused.code == 2 and "https://download.pytorch.org/models/resnet50-0676ba61.pth" in refused.err
    lite = run("train", "--data", shapes, "--val", shapes, "--out", "a", *fixed, "--backbone", "efficientnet_lite0")
    assert lite.code == 2 and "give --pretrained (pip install" in lite.err


def test_a_class_map_is_kept_on_the_card(run: Run, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text('[classes]\nshape = ["ship", "storage tank"]\n')
    done = run(
        "train", "--data", shapes, "--val", shapes, "--class-map", "map.toml", "--out", "a", "--epochs", "1", *SMALL
    )
    assert done.code == 0, done.err
    assert tomllib.loads((tmp_path / "a/model.toml").read_text())["recipe"]["class_map"] == "map.toml"
