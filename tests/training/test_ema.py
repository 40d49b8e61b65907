from __future__ import annotations

import pytest
import torch
from torch import nn

from lcageo.training.optimizer import Ema


def test_the_average_follows_its_recurrence_and_counters_are_copied() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    with torch.no_grad():
        model[0].weight.fill_(0.0)
    ema, mean = Ema(model, 0.9), 0.0
    for step in range(1, 200):
        with torch.no_grad():
            model[0].weight.fill_(float(step))
            model[1].num_batches_tracked.fill_(step)
        ema.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * step
    assert ema.weights["0.weight"].item() == pytest.approx(mean, rel=1e-5)
    assert ema.weights["1.num_batches_tracked"].item() == 199


def test_without_averaging_the_last_weights_count() -> None:
    model = nn.Linear(2, 2)
    ema = Ema(model, 0.0)
    with torch.no_grad():
        model.weight.add_(1.0)
    ema.update(model, 1)
    assert torch.equal(ema.weights["weight"], model.weight)


def test_it_continues_from_saved_weights() -> None:
    model = nn.Linear(2, 2)
    ema, other = Ema(model, 0.99), Ema(nn.Linear(2, 2), 0.99)
    other.load(ema.weights)
    assert all(torch.equal(other.weights[name], ema.weights[name]) for name in ema.weights)
    with torch.no_grad():
        model.weight.add_(1.0)
    assert not torch.equal(ema.weights["weight"], model.weight)  # it holds copies
