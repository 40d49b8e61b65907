from __future__ import annotations

import pytest
import torch

from lcageo.config import Precision
from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Preset
from lcageo.training.precision import computing_in, fastest_precision


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [(Precision.FP32, torch.float32), (Precision.BF16, torch.bfloat16), (Precision.FP16, torch.float16)],
)
def test_convolutions_are_computed_as_asked(precision: Precision, dtype: torch.dtype) -> None:
    with computing_in(precision, torch.device("cpu")):
        assert torch.nn.Conv2d(3, 2, 1)(torch.zeros(1, 3, 4, 4)).dtype is dtype


def test_measuring_chooses_one_of_two_and_leaves_the_network_as_it_was() -> None:
    network = build_network(NetworkConfig(Preset.LCA, 2, "resnet18", 16, 8, 1))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert fastest_precision(network, torch.zeros(2, 3, 128, 128)) in (Precision.FP32, Precision.BF16)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
