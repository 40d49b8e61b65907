"""A GPU node often has torch and little else: training must not ask for what reads and writes maps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.bare import MISSING, bare_environment
from support.shapes import write_shapes

from lcageo.runtime.catalog import find_card

SMALL = "--backbone resnet18 --backbone-width 16 --channels 16 --imgsz 128 --epochs 1 --batch 4 --precision fp32"


def test_a_model_is_trained_and_evaluated_where_only_torch_and_small_packages_are(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_shapes(tmp_path / f"{name}.json", 4, seed=len(name))
    bare = bare_environment(tmp_path / "bare")
    train = ["train", "--data", "train.json", "--val", "val.json", "--out", "run", *SMALL.split()]
    evaluate = ["evaluate", "--model", "run", "--data", "val.json", "--backend", "torch"]
    for command in (train, evaluate):
        done = subprocess.run(
            [sys.executable, "-m", "lcageo", *command], env=bare, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert find_card(str(tmp_path / "run")).metrics and not (tmp_path / "run" / "curves.png").exists()
    assert "mAP50" in done.stdout


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_there_is_really_hidden(name: str, tmp_path: Path) -> None:
    hidden = subprocess.run([sys.executable, "-c", f"import {name}"], env=bare_environment(tmp_path))
    assert hidden.returncode == 1
