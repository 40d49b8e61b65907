"""Every preset overfits one image: assignments, losses and gradients work together."""

import pytest
import torch

from lcageo.detector.boxes import pairwise_iou
from lcageo.detector.criterion import compute_losses
from lcageo.detector.presets import build_network
from lcageo.detector.truth import Truth
from lcageo.network_config import NetworkConfig, Norm, Preset

STEPS = 60


def red_and_blue() -> tuple[torch.Tensor, Truth]:
    """A grey image of 128 px with a red and a blue rectangle, classes 0 and 1 of 3."""
    image = torch.zeros(1, 3, 128, 128)
    image[0, 0, 24:72, 16:56] = 2  # rows, columns
    image[0, 2, 60:108, 70:122] = 2
    boxes = torch.tensor([[16.0, 24, 56, 72], [70, 60, 122, 108]])
    return image, Truth(boxes, torch.tensor([0, 1]), torch.ones(3, dtype=torch.bool))


@pytest.mark.parametrize("preset", Preset)
def test_every_preset_learns_one_image(preset):
    torch.manual_seed(0)
    config = NetworkConfig(preset, 3, "resnet18", backbone_width=16, channels=32, norm=Norm.GN)
    network, (image, truth) = build_network(config), red_and_blue()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    totals = []
    for _ in range(STEPS):
        outputs = network(image)
        losses = compute_losses(preset, outputs, network.decode(outputs), [truth])
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        totals.append(losses.total.item())
    assert totals[-1] < 0.6 * totals[0]  # measured: 0.03 to 0.43 with three seeds
    with torch.inference_mode():
        scores, boxes, _ = network.predict(image)
    overlaps = pairwise_iou(truth.boxes_xyxy, boxes[0])  # (2, N)
    assert overlaps.amax(dim=1).min() > 0.7
    if preset in {Preset.LCA, Preset.LCA_SA}:  # LCA-SA aligns these; others tell the colours apart some steps later
        best = scores[0][:, truth.labels].argmax(dim=0)
        assert overlaps[[0, 1], best].min() > 0.6
