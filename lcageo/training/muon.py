"""Muon: momentum with orthogonalised steps, so that all directions of a weight matrix advance equally."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_RMS = 0.2
"""Root mean square of a step at learning rate 1: AdamW's usual, so that both use the same learning rate and decay."""


class Muon(torch.optim.Optimizer):
    """Optimiser for weights of two or more dimensions (convolutions as matrices with a row per output channel).

    Args:
        params: parameters or groups; every group has `lr` and `weight_decay`.
        lr: learning rate.
        weight_decay: decoupled, as in AdamW.

    Source:
        Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with its coefficients; Liu et
        al., "Muon is Scalable for LLM Training" (2025), section 2.2, for the size of a step.
    """

    def __init__(self, params: Iterable[Any], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Performs one step; a closure is not supported."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter.grad)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                ahead = parameter.grad.lerp(momentum, MOMENTUM)  # Nesterov momentum
                matrix = ahead.reshape(len(ahead), -1)
                update = orthogonalised(matrix) * (_RMS * max(matrix.shape) ** 0.5)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors, and all singular values between about 0.7 and 1.2.

    A polynomial applied five times to the singular values, with products only: x <- (a + b G + c G^2) x with G = x x^T.
    All but the first and the last product are between square matrices of the shorter side, since G is updated
    from itself: a convolution's nine columns per channel make that more than twice as fast.

    Args:
        matrix: (rows, columns).
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).float()
    x = x / (x.norm() + 1e-7)
    a, b, c = _COEFFICIENTS
    gram = x @ x.T
    total = torch.eye(len(x), device=x.device)
    for _ in range(_ITERATIONS):
        factor = b * gram + c * (gram @ gram)
        factor.diagonal().add_(a)
        total = factor @ total
        gram = factor @ gram @ factor
    result: Tensor = (total @ x).to(matrix.dtype)
    return result.T if tall else result
