"""A tiny model that is really trained, in some seconds, until it finds the objects of `support.shapes`."""

from __future__ import annotations

from pathlib import Path

from support.shapes import write_shapes

from lcageo.config import Precision
from lcageo.network_config import Norm, Preset
from lcageo.runtime.catalog import ModelCard
from lcageo.training.config import Optimizer, TrainConfig
from lcageo.training.data import load_training_data
from lcageo.training.loop import RunOptions, train


def learned_shapes(folder: Path, validated_on: int) -> tuple[TrainConfig, ModelCard]:
    """Trains a model in `folder`/learned and validates it on so many images; returns its settings and its card."""
    config = TrainConfig(
        data=(str(write_shapes(folder / "train.json")),),
        val=(str(write_shapes(folder / "val.json", validated_on, seed=1)),),
        preset=Preset.LCA, backbone="resnet18", backbone_width=16, channels=16, head_convs=2, norm=Norm.GN,
        imgsz=128, scale=(0.9, 1.1), mosaic=0.0, batch=4, epochs=90, lr=6e-3, warmup=2, ema=0.9, validations=1,
        colour=0.0, optimizer=Optimizer.MUON, precision=Precision.FP32,
    )  # fmt: skip
    data = load_training_data(config, strict=True, warn=lambda line: None)
    return config, train(config, data, folder / "learned", RunOptions(device="cpu", workers=0, cache=True))
