"""Makes a seeded, untrained model with a real network and card, whose random weights give meaningless boxes.

It tests everything around the network: tiling, merging, georeferencing, formats.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch
import torch

from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Preset
from lcageo.runtime.catalog import FOLDER_CARD, ModelCard, write_card

CLASSES = (
    "airplane",
    "ship",
    "storage tank",
    "baseball diamond",
    "tennis court",
    "basketball court",
    "ground track field",
    "harbor",
    "bridge",
    "vehicle",
)
WEIGHTS = "model.safetensors"


def make_untrained_model(folder: Path, tile_size: int = 512, preset: Preset = Preset.LCA, seed: int = 0) -> Path:
    """Writes a narrow ResNet-18 model into `folder`, as `train` would, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = NetworkConfig(preset, len(CLASSES), backbone="resnet18", backbone_width=16, channels=32, head_convs=2)
    network = build_network(config)
    with torch.no_grad():
        # New heads score 0.01 everywhere; spread the scores, so that boxes differ and thresholds have an effect.
        for name, parameter in network.named_parameters():
            if name.startswith("head") and parameter.ndim > 1:
                parameter.normal_(0.0, (2.0 / parameter[0].numel()) ** 0.5)
    safetensors.torch.save_file(network.state_dict(), folder / WEIGHTS)
    card = ModelCard(
        name="untrained",
        network=config,
        classes=CLASSES,
        tile_size=tile_size,
        gsd_m=(0.1, 2.0),
        mean=(123.7, 116.3, 103.5),
        std=(58.4, 57.1, 57.4),
        weights=folder / WEIGHTS,
        sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        licence="none needed: random numbers",
        trained_on="",
        largest_object_px=128,
    )
    write_card(card, folder / FOLDER_CARD)
    return folder
