"""Small networks of every preset."""

from __future__ import annotations

import torch

from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Norm, Preset

CLASSES = 3


GATED = {Preset.FCOS, Preset.LCA, Preset.LCA_H}


def tiny(preset: Preset, norm: Norm | None = None, **settings: int) -> Network:
    torch.manual_seed(0)
    return build_network(
        NetworkConfig(
            preset, CLASSES, "resnet18", backbone_width=16, channels=settings.pop("channels", 16), norm=norm, **settings
        )
    ).eval()
