"""Single steps of a training."""

from __future__ import annotations

from lcageo.config import Precision
from lcageo.network_config import Norm, Preset
from lcageo.training.config import Optimizer, TrainConfig

CONFIG = TrainConfig(
    preset=Preset.LCA, backbone="resnet18", backbone_width=16, channels=16, head_convs=1, norm=Norm.GN, imgsz=128,
    batch=4, optimizer=Optimizer.SGD, weight_decay=0.0, clip=0.0, precision=Precision.FP32,
)  # fmt: skip
