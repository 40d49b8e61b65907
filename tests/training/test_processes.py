"""Processes that train together, and what a single one does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from support.steps import CONFIG
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


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Processes(0, 1, 0)),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Processes(5, 8, 1)),
    ],
)
def test_torchrun_says_which_process_this_is(
    environment: dict[str, str], expected: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Processes.of_environment() == expected
    assert Processes.of_environment().is_first == (expected.rank == 0)


def test_a_single_process_joins_no_group_and_wraps_nothing() -> None:
    alone, network = Processes(), nn.Linear(2, 2)
    alone.join(torch.device("cpu"))
    assert not torch.distributed.is_initialized()
    assert alone.wrapped(network, torch.device("cpu")) is network
    assert alone.agreed([1.5, -2.0], torch.device("cpu")) == [1.5, -2.0]
    alone.leave()


def test_all_agree_on_the_values_of_the_first_and_on_the_mean_gradient() -> None:
    program = (
        "import sys, torch\n"
        "from lcageo.training.processes import Processes\n"
        "processes, cpu = Processes.of_environment(), torch.device('cpu')\n"
        "processes.join(cpu)\n"
        "assert processes.agreed([processes.rank + 0.1, 7.0], cpu) == [0.1, 7.0]\n"
        "network = torch.nn.Linear(1, 1, bias=False)\n"
        "wrapped = processes.wrapped(network, cpu)\n"
        "wrapped(torch.tensor([[processes.rank * 4.0]])).sum().backward()\n"
        "assert network.weight.grad.item() == 2.0, network.weight.grad\n"
        "processes.leave()\n"
        "assert not torch.distributed.is_initialized()\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    running = []
    for rank in "01":
        position = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        running.append(subprocess.Popen([sys.executable, "-c", program], env=os.environ | position))
    assert [process.wait(120) for process in running] == [0, 0]
