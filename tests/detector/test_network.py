from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from support.small_networks import tiny

from lcageo.detector.network import Network
from lcageo.network_config import Norm, Preset


@pytest.mark.parametrize("preset", Preset)
def test_every_trainable_parameter_receives_a_gradient(preset):
    network = tiny(preset).train()
    predictions = network.decode(network(torch.randn(2, 3, 128, 128)))
    (predictions.scores.sum() + predictions.boxes_xyxy.square().mean()).backward()
    without = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


@pytest.mark.parametrize("preset", Preset)
@torch.inference_mode()
def test_autocast_and_channels_last_give_float32_predictions_close_to_plain_ones(preset):
    network, images = tiny(preset, norm=Norm.GN), torch.randn(2, 3, 96, 160)
    plain = network.predict(images)
    network.to(memory_format=torch.channels_last)
    last = network.predict(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last.scores, plain.scores, rtol=1e-3, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        half = network.predict(images.to(memory_format=torch.channels_last))
    assert half.scores.dtype == half.boxes_xyxy.dtype == torch.float32
    torch.testing.assert_close(half.scores, plain.scores, rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("preset", Preset)
@torch.inference_mode()
def test_an_image_is_predicted_the_same_alone_and_in_a_batch(preset):
    network, images = tiny(preset), torch.randn(3, 3, 64, 96)
    together, alone = network.predict(images), network.predict(images[1:2])
    torch.testing.assert_close(together.scores[1:2], alone.scores)
    torch.testing.assert_close(together.boxes_xyxy[1:2], alone.boxes_xyxy)


@pytest.mark.parametrize("preset", [Preset.RETINANET, Preset.FCOS, Preset.LCA_BASELINE, Preset.LCA])
@torch.no_grad()
def test_predict_compiles_in_one_graph(preset):
    network, images = tiny(preset), torch.randn(1, 3, 64, 96)
    compiled = torch.compile(network.predict, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images).scores, network.predict(images).scores)


class Predicting(torch.nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images):
        scores, boxes, _ = self.network.predict(images)
        return scores, boxes


@pytest.mark.parametrize("preset", [Preset.RETINANET, Preset.LCA])
@torch.no_grad()
def test_predict_exports_with_a_dynamic_batch_size(preset):
    network = tiny(preset)
    batch = {0: torch.export.Dim("batch", min=1, max=16)}
    program = torch.export.export(Predicting(network), (torch.randn(2, 3, 64, 96),), dynamic_shapes=(batch,))
    images = torch.randn(3, 3, 64, 96)
    torch.testing.assert_close(program.module()(images)[1], network.predict(images).boxes_xyxy)


def test_the_package_itself_imports_no_torch():
    code = "import lcageo.detector, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
