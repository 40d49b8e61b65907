"""A tiny network in training, and crops for it."""

from __future__ import annotations

from pathlib import Path

import torch
from support.shapes import write_shapes

from lcageo.config import Precision
from lcageo.data.augment import AugmentConfig
from lcageo.data.dataset import CropDataset, TrainBatch, collate_train
from lcageo.data.formats.coco import read_coco
from lcageo.detector.presets import build_network
from lcageo.network_config import Norm, Preset
from lcageo.training.config import Optimizer, TrainConfig
from lcageo.training.processes import Processes
from lcageo.training.state import TrainState

CONFIG = TrainConfig(
    preset=Preset.LCA, backbone="resnet18", backbone_width=16, channels=16, head_convs=1, norm=Norm.GN, imgsz=128,
    batch=4, optimizer=Optimizer.SGD, weight_decay=0.0, clip=0.0, precision=Precision.FP32,
)  # fmt: skip


def batch_of(crops: CropDataset, positions: range) -> TrainBatch:
    return collate_train([crops[0, position] for position in positions])


def state_of(config: TrainConfig) -> TrainState:
    torch.manual_seed(0)
    network = build_network(config.network(2))
    state = TrainState.begin(
        config, Processes(), torch.device("cpu"), network, Preset.LCA, (124.0, 116.0, 104.0), (58.0,) * 3, 2, {}, None
    )
    state.network.train()
    return state


def shape_crops(folder: Path) -> CropDataset:
    """Crops of red ships and blue cars."""
    path = write_shapes(folder / "train.json")
    return CropDataset(read_coco(path), AugmentConfig(crop_size=128, long_side=128), crops_per_epoch=8, seed=0)
