"""Targets and losses on real images, for partly trained networks, as in the training for Table I."""

from __future__ import annotations

import pytest
import torch
from conftest import DATA
from support.slow_assign import slow_iou
from support.slow_losses import slow_losses

from lcageo.data.augment import AugmentConfig
from lcageo.data.dataset import CropDataset, TrainBatch, collate_train
from lcageo.data.formats.coco import read_coco
from lcageo.detector.criterion import compute_losses
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.detector.truth import Truth
from lcageo.network_config import NetworkConfig, Norm, Preset

CROPS = 2
STEPS = 50


@pytest.fixture(scope="module")
def batch() -> TrainBatch:
    """The crops with the most classes, mosaics among them, drawn as in the recipe for two cores."""
    path = DATA / "vhr10" / "train.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no '{path}'; name the folder of vhr10 with LCAGEO_DATA")
    dataset = CropDataset(read_coco(path), AugmentConfig(crop_size=160), 64, seed=0)
    crops = [dataset[0, i] for i in range(64)]
    return collate_train(sorted(crops, key=lambda crop: -len(set(crop.labels.tolist())))[:CROPS])


def partly_trained(preset: Preset, batch: TrainBatch, truths: list[Truth]) -> Network:
    """A small network after some steps on the batch, in double precision."""
    torch.manual_seed(0)
    network = build_network(NetworkConfig(preset, 10, "resnet18", backbone_width=16, channels=32, norm=Norm.GN))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    images = normalised(batch)
    for _ in range(STEPS):
        outputs = network(images)
        loss = compute_losses(preset, outputs, network.decode(outputs), truths).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.double()


def normalised(batch: TrainBatch) -> torch.Tensor:
    return (batch.images.float() - 110) / 55


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(set(Preset) - {Preset.LCA_BASELINE_4X4}))  # trains like the baseline
def test_targets_and_losses_equal_the_slow_loops(preset: Preset, batch: TrainBatch) -> None:
    truths = [Truth(*parts) for parts in zip(batch.boxes_xyxy, batch.labels, batch.labelled, strict=True)]
    network = partly_trained(preset, batch, truths)
    truths = [Truth(truth.boxes_xyxy.double(), truth.labels, truth.labelled) for truth in truths]
    with torch.no_grad():
        outputs = network(normalised(batch).double())
        predictions = network.decode(outputs)
        found = compute_losses(preset, outputs, predictions, truths)
    parts = [found.class_loss, found.box_loss, torch.zeros(()) if preset is not Preset.FCOS else found.centerness_loss]
    assert [float(part) for part in parts] == pytest.approx(slow_losses(preset, outputs, predictions, truths), rel=1e-9)

    reached = [
        max(slow_iou(box, other) for other in predictions.boxes_xyxy[i].tolist())
        for i, truth in enumerate(truths) for box in truth.boxes_xyxy.tolist()
    ]  # fmt: skip
    assert sum(iou > 0.5 for iou in reached) > len(reached) / 2  # otherwise the targets of LCA-SA would be trivial
