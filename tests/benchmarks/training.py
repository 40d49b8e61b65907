"""Training crops per second for settings that may change the speed, as a ratio to the shipped model's recipe.

    python tests/benchmarks/training.py build/rendered/train.json

Every variant is a real run of twenty steps, of which the last ten are timed: crops, forward, losses, backward, step.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.sets import read_sets
from lcageo.training import loop
from lcageo.training.config import TrainConfig, read_recipe
from lcageo.training.data import TrainingData
from lcageo.training.figures import TrainProgress
from lcageo.training.loop import Listener, RunOptions, train

ROOT = Path(__file__).resolve().parents[2]
STEPS, BATCH = 20, 8
BASE = {"batch": BATCH, "precision": "fp32", "validations": 1, "epochs": STEPS}
RESNET = {"backbone": "resnet18", "backbone_width": 48, "pretrained": False}
VARIANTS: dict[str, tuple[dict[str, Any], bool]] = {
    "as the recipe, fp32": ({}, True),
    "freed memory given back": ({}, True),
    "compiled": ({"compile": True}, True),
    "images decoded each time": ({}, False),
    "crops of 256": ({"crop": 256}, True),
    "crops of 512": ({"crop": 512}, True),
    "batch 16": ({"batch": 2 * BATCH}, True),
    "efficientnet_lite2": ({"backbone": "efficientnet_lite2"}, True),
    "resnet18 of width 48": (RESNET, True),
    "all stages learn": ({"freeze": 0}, True),
    "64 channels": ({"channels": 64}, True),
    "adamw": ({"optimizer": "adamw"}, True),
    "head of fcos": ({"preset": "fcos", "norm": "bn"}, True),
    "bf16": ({"precision": "bf16"}, True),  # last, since it takes minutes on processors that emulate it
}
"""Name -> changed settings, and whether images are cached in memory."""


def crops_a_second(recipe: TrainConfig, changes: Mapping[str, Any], images: LabelledSet, cached: bool) -> float:
    """Crops per second in the last ten steps of a run over `images`, as many as a batch has crops."""
    reports: list[TrainProgress] = []
    config = recipe.changed({**BASE, **changes})
    per_epoch = replace(images, annotations=images.annotations[: config.batch])
    data = TrainingData(per_epoch, replace(images, annotations=images.annotations[:1]))
    options = RunOptions("cpu" if not torch.cuda.is_available() else "cuda", cache=cached)
    with tempfile.TemporaryDirectory() as folder:
        train(config, data, Path(folder) / "run", options, listener=Listener(step=reports.append))
    return reports[-1].images_per_second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a COCO file with the recipe's classes")
    arguments = parser.parse_args()
    os.chdir(ROOT)  # the recipe's class map is relative to it
    recipe = read_recipe(ROOT / "examples" / "lca_s" / "lca-s.toml")
    images = read_sets([arguments.data.absolute()], SplitName.TRAIN, recipe.classes)
    base = 0.0
    print(f"{'setting':<28}{'images/s':>9}{'ratio':>7}   ({torch.get_num_threads()} threads)")
    for name, (changes, cached) in VARIANTS.items():
        given_back = patch.object(loop, "keeping_freed_memory", nullcontext) if "given back" in name else nullcontext()
        with given_back:
            speed = crops_a_second(recipe, changes, images, cached)
        base = base or speed
        print(f"{name:<28}{speed:>9.2f}{speed / base:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
