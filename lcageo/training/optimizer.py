"""The optimiser over a network's trainable parameters."""

from __future__ import annotations

import torch
from torch import nn

from lcageo.train_config import Optimizer, TrainConfig

MOMENTUM = 0.9


def build_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW; biases, norms and scales (all parameters with fewer than two dimensions) do not decay."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer is Optimizer.SGD:
        return torch.optim.SGD(groups, lr=config.peak_lr, momentum=MOMENTUM)
    return torch.optim.AdamW(groups, lr=config.peak_lr)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The rate of the next step, for all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = lr
