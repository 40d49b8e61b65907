"""The optimisers over a network's trainable parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lcageo.train_config import Optimizer, TrainConfig
from lcageo.training.muon import Muon

MOMENTUM = 0.9
SMALLEST_MATRIX = 32
"""Rows and columns from which Muon takes a weight: predictors, whose rows are classes or sides, are better off with
AdamW, as its authors say of output layers."""


def build_optimizers(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """SGD, AdamW, or Muon and AdamW; biases, norms and scales (fewer than two dimensions) do not decay."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    large = [p for p in trainable if _is_large(p)] if config.optimizer is Optimizer.MUON else []
    taken = {id(p) for p in large}
    groups = [
        {"params": [p for p in trainable if p.ndim > 1 and id(p) not in taken], "weight_decay": config.decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer is Optimizer.SGD:
        return [torch.optim.SGD(groups, lr=config.peak_lr, momentum=MOMENTUM)]
    muon: list[torch.optim.Optimizer] = [Muon(large, config.peak_lr, config.decay)] if large else []
    return [torch.optim.AdamW(groups, lr=config.peak_lr), *muon]


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], lr: float) -> None:
    """The rate of the next step, for all parameters."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr


def _is_large(parameter: Tensor) -> bool:
    rows = len(parameter) if parameter.ndim > 1 else 0
    return rows >= SMALLEST_MATRIX and parameter.numel() // rows >= SMALLEST_MATRIX
