"""A single training step: a batch in parts, values that are not finite, batch norms of several GPUs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.shapes import write_shapes
from torch import Tensor, nn

from lcageo.config import Precision
from lcageo.data.augment import AugmentConfig
from lcageo.data.coco import read_coco
from lcageo.data.dataset import CropBatches, CropDataset, TrainBatch, collate_train
from lcageo.detector.layers import FrozenBatchNorm2d
from lcageo.detector.presets import build_network
from lcageo.errors import TrainingError, UsageError
from lcageo.network_config import Norm, Preset
from lcageo.training.config import Optimizer, TrainConfig
from lcageo.training.figures import MAX_OVERFLOWS, Figures
from lcageo.training.loop import _step
from lcageo.training.processes import Processes, synchronised
from lcageo.training.state import TrainState

CONFIG = TrainConfig(
    preset=Preset.LCA, backbone="resnet18", backbone_width=16, channels=16, head_convs=1, norm=Norm.GN, imgsz=128,
    batch=4, optimizer=Optimizer.SGD, weight_decay=0.0, clip=0.0, precision=Precision.FP32,
)  # fmt: skip


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropDataset:
    path = write_shapes(tmp_path_factory.mktemp("shapes") / "train.json")
    return CropDataset(read_coco(path), AugmentConfig(crop_size=128, long_side=128), crops_per_epoch=8, seed=0)


def batch_of(crops: CropDataset, positions: range) -> TrainBatch:
    return collate_train([crops[0, position] for position in positions])


def state_of(config: TrainConfig) -> TrainState:
    torch.manual_seed(0)
    network = build_network(config.network(2))
    state = TrainState.begin(
        config, Processes(), torch.device("cpu"), network, Preset.LCA, (124.0, 116.0, 104.0), (58.0,) * 3, 2, {}, None
    )
    state.network.train()
    return state


def change_of(config: TrainConfig, batch: TrainBatch) -> tuple[dict[str, Tensor], float]:
    """How one step of SGD at learning rate 1 changes the weights, and its loss."""
    state = state_of(config)
    before = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}
    losses, _ = _step(state, batch, 1.0, geometric=False)
    return {name: tensor - before[name] for name, tensor in state.network.state_dict().items()}, losses.total.item()


def test_a_batch_computed_in_parts_is_the_mean_of_their_gradients(crops: CropDataset) -> None:
    whole, loss = change_of(replace(CONFIG, accumulate=2), batch_of(crops, range(4)))
    (first, loss_1), (second, loss_2) = (change_of(CONFIG, batch_of(crops, part)) for part in (range(2), range(2, 4)))
    assert loss == pytest.approx((loss_1 + loss_2) / 2, rel=1e-5)
    for name, change in whole.items():
        assert torch.allclose(change, (first[name] + second[name]) / 2, rtol=1e-3, atol=1e-6), name
    assert max(change.abs().max() for change in whole.values()) > 1e-3


@pytest.mark.parametrize("name", ["backbone.layer3.0.conv1.weight", "head.class_logits.bias"])
def test_a_float16_step_that_overflows_in_one_optimiser_is_skipped_by_both(crops: CropDataset, name: str) -> None:
    state = state_of(replace(CONFIG, optimizer=Optimizer.MUON, precision=Precision.FP16, clip=10.0))
    parameter = state.network.get_parameter(name)
    parameter.register_hook(lambda gradient: gradient * float("nan"))
    before = {key: tensor.clone() for key, tensor in state.network.state_dict().items()}
    scale = state.scaler.get_scale()
    _step(state, batch_of(crops, range(2)), 1e-3, geometric=False)
    assert all(torch.equal(tensor, before[key]) for key, tensor in state.network.state_dict().items())
    assert state.scaler.get_scale() < scale


def test_float16_that_keeps_overflowing_stops_the_run(crops: CropDataset, tmp_path: Path) -> None:
    state = state_of(replace(CONFIG, precision=Precision.FP16))
    losses, _ = _step(state, batch_of(crops, range(2)), 1e-3, geometric=False)
    figures = Figures(state, crops, CropBatches(2, 4), tmp_path / "checkpoint.pt")
    state.step = 1
    for _ in range(MAX_OVERFLOWS):
        figures.add(losses, torch.tensor(np.inf))
    figures.look(0.1, 0.5, None)
    figures.add(losses, torch.tensor(1.0))
    figures.add(losses, torch.tensor(np.nan))
    figures.look(0.1, 0.5, None)
    for _ in range(MAX_OVERFLOWS):
        figures.add(losses, torch.tensor(np.nan))
    with pytest.raises(TrainingError, match="the gradient's norm is nan after step 1; try --resume with a lower --lr"):
        figures.look(0.1, 0.5, None)


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
