"""Training on several processes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.training_steps import CONFIG
from torch import nn

from lcageo.detector.layers import FrozenBatchNorm2d
from lcageo.detector.presets import build_network
from lcageo.errors import UsageError
from lcageo.network_config import Norm
from lcageo.training.processes import Processes, synchronised


def test_frozen_norms_stay_frozen_where_the_others_are_shared() -> None:
    def kinds(network: nn.Module) -> dict[str, type]:
        return {name: type(m) for name, m in network.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}

    network = build_network(replace(CONFIG, norm=Norm.FROZEN_BN).network(2))
    assert set(kinds(synchronised(network)).values()) == {FrozenBatchNorm2d}
    network = build_network(replace(CONFIG, norm=Norm.BN).network(2))
    network.backbone.freeze(1)
    weights = network.state_dict()
    synchronised(network).train()
    assert not network.backbone.bn1.training
    of_stage = {name.split(".")[1]: kind for name, kind in kinds(network).items()}
    assert of_stage == {
        "bn1": nn.BatchNorm2d, "layer1": nn.BatchNorm2d, "layer2": nn.SyncBatchNorm, "layer3": nn.SyncBatchNorm,
        "layer4": nn.SyncBatchNorm,
    }  # fmt: skip
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    assert Processes(world=2).share(12, 3) == 2
    with pytest.raises(UsageError, match=r"--batch 12 .* 2 processes in 4 parts .* give a multiple of 8"):
        Processes(world=2).share(12, 4)
