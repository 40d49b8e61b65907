"""The optimisers over a network's trainable parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lcageo.detector.heads import Head
from lcageo.train_config import Optimizer, TrainConfig
from lcageo.training.muon import Muon

MOMENTUM = 0.9


def build_optimizers(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """SGD, AdamW, or Muon and AdamW; biases, norms and scales (fewer than two dimensions) do not decay."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    hidden = _hidden(network) if config.optimizer is Optimizer.MUON else []
    taken = {id(p) for p in hidden}
    groups = [
        {"params": [p for p in trainable if p.ndim > 1 and id(p) not in taken], "weight_decay": config.decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer is Optimizer.SGD:
        return [torch.optim.SGD(groups, lr=config.peak_lr, momentum=MOMENTUM)]
    muon: list[torch.optim.Optimizer] = [Muon(hidden, config.peak_lr, config.decay)] if hidden else []
    return [torch.optim.AdamW(groups, lr=config.peak_lr), *muon]


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], lr: float) -> None:
    """The rate of the next step, for all parameters."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr


def _hidden(network: nn.Module) -> list[nn.Parameter]:
    """Trainable weights of all layers but the head's outputs, which Muon's authors leave to AdamW.

    By what a layer is for and not by its size: else the predictors of nine anchors would be Muon's and those of one
    point AdamW's, and systems that differ in anchors would differ in optimiser too.
    """
    outputs = {id(layer.weight) for head in network.modules() if isinstance(head, Head) for layer in head.predictors}
    return [p for p in network.parameters() if p.requires_grad and p.ndim > 1 and id(p) not in outputs]
