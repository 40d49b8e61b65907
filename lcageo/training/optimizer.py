"""Updates a network's weights: optimisers, learning rate and the moving average of the weights.

The learning rate depends only on the position in the run, so a resumed run needs no history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lcageo.detector.heads import Head
from lcageo.detector.network import Network
from lcageo.training.config import Optimizer, Schedule, TrainConfig
from lcageo.training.muon import Muon

MOMENTUM = 0.9
WARMUP_SHARE = 0.1
"""A warm-up takes at most this share of the run."""
STEP_PLACES = (8 / 12, 11 / 12)
"""Source: the 1x schedule of Detectron, 12 epochs with steps after 8 and 11."""
STEP_FACTOR = 0.1
COSINE_END = 0.01
"""Share of the learning rate left at the end, so that the last steps still have an effect."""


def build_optimizers(network: Network, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """SGD, AdamW, or Muon and AdamW; biases, norms and scales (fewer than two dimensions) do not decay.

    The backbone has groups of its own if it has a learning rate of its own.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    hidden = _hidden(network) if config.optimizer is Optimizer.MUON else []
    taken = {id(p) for p in hidden}
    shares = _Shares(network, config.backbone_lr)
    groups = [
        *shares.groups([p for p in trainable if p.ndim > 1 and id(p) not in taken], config.decay),
        *shares.groups([p for p in trainable if p.ndim <= 1], 0.0),
    ]
    if config.optimizer is Optimizer.SGD:
        return [torch.optim.SGD(groups, lr=config.peak_lr, momentum=MOMENTUM)]
    muon = [Muon(shares.groups(hidden, config.decay), config.peak_lr, config.decay)] if hidden else []
    return [torch.optim.AdamW(groups, lr=config.peak_lr), *muon]


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], lr: float) -> None:
    """Sets the learning rate of the next step, of which the backbone has its own share."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("lr_share", 1.0)


class _Shares:
    """Parts parameters by their share of the learning rate."""

    def __init__(self, network: Network, backbone_lr: float) -> None:
        self._backbone = {id(parameter) for parameter in network.backbone.parameters()}
        self._share = backbone_lr

    def groups(self, parameters: Sequence[nn.Parameter], decay: float) -> list[dict[str, Any]]:
        """One group, or two where the backbone's share differs: a resumed run has to have the same groups."""
        if self._share == 1:
            return [{"params": list(parameters), "weight_decay": decay}]
        parts: dict[float, list[nn.Parameter]] = {1.0: [], self._share: []}
        for parameter in parameters:
            parts[self._share if id(parameter) in self._backbone else 1.0].append(parameter)
        return [{"params": part, "weight_decay": decay, "lr_share": share} for share, part in parts.items()]


def learning_rate_factor(schedule: Schedule, warmup: int, step: int, progress: float) -> float:
    """Factor by which the peak learning rate is multiplied.

    Args:
        schedule: how it falls.
        warmup: steps over which it rises linearly.
        step: steps done.
        progress: share of the run done, 0 to 1.
    """
    risen = 1.0 if warmup == 0 else max((step + 1) / warmup, progress / WARMUP_SHARE)
    if schedule is Schedule.STEP:
        fallen = STEP_FACTOR ** sum(progress >= place for place in STEP_PLACES)
    else:
        fallen = COSINE_END + (1 - COSINE_END) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return min(risen, 1.0) * fallen


class Ema:
    """Exponential moving average of all floating-point state; counters are copied.

    The decay starts low (a mean over about a tenth of the steps so far), to forget the initial weights quickly.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Adds the weights after step number `step` (from 1 on)."""
        decay = min(self._decay, (1 + step) / (10 + step)) if self._decay else 0.0
        state = network.state_dict()
        names = [name for name, tensor in state.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.weights[name] for name in names], [state[name] for name in names], 1 - decay)
        for name in state.keys() - set(names):
            self.weights[name].copy_(state[name])

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Continues from `weights` of the same network."""
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])


def _hidden(network: nn.Module) -> list[nn.Parameter]:
    """Trainable weights of all layers except the head's outputs, which Muon's authors leave to AdamW.

    Chosen by a layer's purpose, not its size: else the predictors of nine anchors would get Muon and those of one point
    AdamW, and systems that differ in anchors would differ in optimiser too.
    """
    outputs = {id(layer.weight) for head in network.modules() if isinstance(head, Head) for layer in head.predictors}
    return [p for p in network.parameters() if p.requires_grad and p.ndim > 1 and id(p) not in outputs]
