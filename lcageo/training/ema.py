"""The running mean of a network's weights, which finds more than the last weights do."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Ema:
    """An exponential moving average of all floating state; counters are copied.

    The decay starts low (a mean over about a tenth of the steps so far), to forget the initial weights soon.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the weights after step number `step` (from 1 on)."""
        decay = min(self._decay, (1 + step) / (10 + step)) if self._decay else 0.0
        state = network.state_dict()
        names = [name for name, tensor in state.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.weights[name] for name in names], [state[name] for name in names], 1 - decay)
        for name in state.keys() - set(names):
            self.weights[name].copy_(state[name])

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from `weights` of the same network."""
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])
