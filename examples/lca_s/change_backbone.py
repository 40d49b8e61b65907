"""Gives a trained model another pretrained backbone, to train it on from there: lca-m started so.

    python examples/lca_s/change_backbone.py runs/wide efficientnet_lite2 runs/lca-m-start
    lcageo train --from runs/lca-m-start ...

Neck and head keep their weights, except the neck's first convolutions, whose shapes depend on the backbone: these and
the backbone start as in a new model with --pretrained. The result is a model folder, and is of use only for training.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lcageo.detector.presets import build_network
from lcageo.detector.weights import load_backbone_weights, pretrained_weights, read_tensors
from lcageo.network_config import BACKBONES, DEFAULT_WIDTH
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.training.model_folder import publish


def with_backbone(card: ModelCard, backbone: str) -> tuple[ModelCard, dict[str, Tensor]]:
    """The card and the weights of a model after its backbone is replaced.

    Raises:
        UsageError, ModelError: if the backbone's weights are not installed, or cannot be read.
    """
    config = replace(card.own_network, backbone=backbone, backbone_width=DEFAULT_WIDTH)
    torch.manual_seed(0)
    network = build_network(config)
    load_backbone_weights(network.backbone, pretrained_weights(backbone))
    weights, kept = dict(network.state_dict()), read_tensors(card.weights)
    for name, tensor in kept.items():
        if not name.startswith("backbone.") and name in weights and weights[name].shape == tensor.shape:
            weights[name] = tensor.to(weights[name].dtype)
    family = BACKBONES[backbone]
    file = family.pretrained
    assert file is not None, "pretrained_weights requires it"
    other_parts = (part for part in card.licence.split("; ") if not part.startswith("backbone from "))
    changed = as_start(
        card,
        network=config,
        licence="; ".join([*other_parts, file.credit]),
        mean=family.mean,
        std=family.std,
        recipe={**card.recipe, "pretrained": True, "backbone_sha256": file.sha256},
    )
    return changed, weights


def as_start(card: ModelCard, **changes: Any) -> ModelCard:
    """The card of another network that is still to be trained, without what was measured with the old one."""
    return replace(card, precisions=(), larger_tile_size=None, thresholds={}, calibration={}, metrics={}, **changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name, card or folder of the trained model")
    parser.add_argument("backbone", help="name of the backbone, one with a pretrained checkpoint in a package")
    parser.add_argument("out", type=Path, help="folder to write")
    arguments = parser.parse_args()
    card, weights = with_backbone(find_card(arguments.model), arguments.backbone)
    publish(replace(card, name=arguments.out.name), weights, arguments.out)


if __name__ == "__main__":
    main()
