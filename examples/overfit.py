"""Sanity check of training: each preset, with a small backbone, overfits a few images.

    python examples/overfit.py VHR10/train.json --out runs/overfit [--preset lca] [--images 16] [--epochs 250]

Images are taken evenly from the set, and used both for training, without augmentation, and for evaluation, at 256
pixels. A preset whose mAP50 does not come close to 1.0 has a bug in its targets, losses or decoding.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from lcageo.data.annotations import LabelledSet
from lcageo.data.formats.coco import read_coco
from lcageo.network_config import Norm, Preset
from lcageo.runtime.catalog import ModelCard
from lcageo.training.config import Optimizer, TrainConfig
from lcageo.training.data import TrainingData
from lcageo.training.loop import Listener, RunOptions, train

RECIPE = TrainConfig(
    backbone="resnet18", backbone_width=32, channels=64, head_convs=4, norm=Norm.BN, imgsz=256, scale=(1.0, 1.0),
    mosaic=0.0, turns=False, colour=0.0, class_balance=0.0, batch=8, optimizer=Optimizer.MUON, warmup=20, ema=0.95,
    validations=1,
)  # fmt: skip
EPOCHS = 250
"""Number of epochs, of two steps each with sixteen images."""


def some_images(labelled: LabelledSet, count: int) -> LabelledSet:
    """`count` images spread evenly over the set, with the set's classes."""
    indices = np.linspace(0, len(labelled) - 1, count).round().astype(int)
    chosen = tuple(labelled.annotations[index] for index in indices.tolist())
    return LabelledSet(labelled.name, labelled.classes, chosen)


def overfit(preset: Preset, labelled: LabelledSet, out: Path, epochs: int) -> ModelCard:
    """Trains a preset on a set and validates it on the same set; the card has the metrics."""
    config = replace(RECIPE, preset=preset, epochs=epochs)
    listener = Listener(
        step=lambda at: print(f"\r{preset}: {at.progress:4.0%}, loss {at.loss:.3f}   ", end="", flush=True)
    )
    options = RunOptions(device="cpu", workers=1, cache=True)
    return train(config, TrainingData(labelled, labelled), out, options, listener=listener)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="COCO file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", type=Preset, choices=list(Preset), nargs="*", default=list(Preset))
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    arguments = parser.parse_args()
    labelled = some_images(read_coco(arguments.data), arguments.images)
    for preset in arguments.preset:
        figures = overfit(preset, labelled, arguments.out / preset, arguments.epochs).metrics
        print(f"\r{preset}: mAP50 {figures['mAP50']:.3f}, mAP50:95 {figures['mAP50_95']:.3f}")


if __name__ == "__main__":
    main()
