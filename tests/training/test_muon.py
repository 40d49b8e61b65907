from __future__ import annotations

import pytest
import torch

from lcageo.training.muon import MOMENTUM, Muon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (4, 30), (30, 4), (1, 5)])
def test_a_step_has_the_gradients_singular_vectors_and_even_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    along = u.T @ orthogonalised(matrix) @ vh.T  # diagonal where the singular vectors are the same
    values = along.diagonal()
    assert values.min() > 0.5 and values.max() < 1.35
    assert (along - torch.diag(values)).abs().max() < 0.1


def test_a_zero_gradient_gives_a_zero_step() -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_steps_follow_the_momentum_and_decay() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 3, 1, 1))
    optimizer = Muon([weight], lr=0.1, weight_decay=0.5)
    momentum, expected = torch.zeros(2, 3), torch.ones(2, 3)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        gradient = torch.randn(2, 3, generator=generator)
        weight.grad = gradient.reshape(2, 3, 1, 1)
        optimizer.step()
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        ahead = (1 - MOMENTUM) * gradient + MOMENTUM * momentum
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 3**0.5 * orthogonalised(ahead)
        assert torch.allclose(weight.detach().reshape(2, 3), expected, atol=1e-5)


def test_parameters_without_a_gradient_stay() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(weight, torch.ones(2, 2))
