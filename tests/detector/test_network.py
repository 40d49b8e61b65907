import subprocess
import sys

import pytest
import torch

from lcageo.detector.align import align_boxes
from lcageo.detector.boxes import decode_distances, flatten_map
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Norm, Preset

CLASSES = 3
GATED = {Preset.FCOS, Preset.LCA, Preset.LCA_H}
SCORED_BY_CLASS = sorted(set(Preset) - GATED)


def tiny(preset: Preset, norm: Norm | None = None, **settings: int) -> Network:
    torch.manual_seed(0)
    return build_network(
        NetworkConfig(
            preset, CLASSES, "resnet18", backbone_width=16, channels=settings.pop("channels", 16), norm=norm, **settings
        )
    ).eval()


def level_sides(height: int, width: int) -> list[tuple[int, int]]:
    return [(-(-height // 2**k), -(-width // 2**k)) for k in range(3, 8)]


@pytest.mark.parametrize("height, width", [(640, 640), (800, 800), (1333, 800)])
@pytest.mark.parametrize("preset", Preset)
@torch.inference_mode()
def test_outputs_and_predictions_have_the_shapes_they_document(preset, height, width):
    network, images = tiny(preset), torch.randn(1, 3, height, width)
    per_cell = 9 if preset is Preset.RETINANET else 1
    sides = level_sides(height, width)
    for output, side in zip(network(images), sides, strict=True):
        assert output.class_logits.shape == (1, per_cell * CLASSES, *side)
        assert output.regression.shape == (1, per_cell * 4, *side)
        assert (output.gate_logits is not None) == (preset in GATED)
        assert (output.offsets is not None) == (preset in {Preset.LCA, Preset.LCA_H})
    predictions = network.predict(images)
    assert predictions.level_sizes == tuple(h * w * per_cell for h, w in sides)
    assert predictions.scores.shape == (1, sum(predictions.level_sizes), CLASSES)
    assert predictions.boxes_xyxy.shape == (1, sum(predictions.level_sizes), 4)
    assert predictions.scores.min() >= 0 and predictions.scores.max() <= 1
    assert (predictions.boxes_xyxy >= 0).all()
    assert (predictions.boxes_xyxy <= torch.tensor([width, height, width, height])).all()


@pytest.mark.parametrize("preset", [Preset.LCA, Preset.LCA_H, *SCORED_BY_CLASS])
@torch.inference_mode()
def test_scores_start_at_0_01(preset):
    network = tiny(preset, norm=Norm.GN, channels=64)
    scores = network.predict(torch.randn(2, 3, 128, 128)).scores
    assert scores.mean().item() == pytest.approx(0.01, abs=0.002)
    assert scores.min() > 0.004 and scores.max() < 0.025


@torch.inference_mode()
def test_lca_predicts_the_aligned_scores_and_boxes_of_its_raw_maps():
    network, images = tiny(Preset.LCA), torch.randn(1, 3, 128, 192)
    torch.nn.init.normal_(network.head.offsets.predict.weight, std=3)
    outputs, decoded = network(images), network.decode(network(images))
    first = outputs[0]
    scores = (first.class_logits.sigmoid() * first.gate_logits.sigmoid()).sqrt()
    boxes = align_boxes(decode_distances(first.regression, 8), first.offsets)
    size = decoded.level_sizes[0]
    torch.testing.assert_close(decoded.scores[:, :size], flatten_map(scores, CLASSES))
    torch.testing.assert_close(decoded.boxes_xyxy[:, :size], flatten_map(boxes, 4))
    assert not torch.equal(decoded.boxes_xyxy[:, :size], flatten_map(decode_distances(first.regression, 8), 4))


@torch.inference_mode()
def test_fcos_scores_are_geometric_means_of_class_and_centerness():
    network, images = tiny(Preset.FCOS), torch.randn(1, 3, 64, 64)
    level = network(images)[0]
    expected = (level.class_logits.sigmoid() * level.gate_logits.sigmoid()).sqrt()
    torch.testing.assert_close(network.predict(images).scores[:, :64], flatten_map(expected, CLASSES))


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


def test_extreme_regressions_stay_finite():
    network = tiny(Preset.LCA)
    torch.nn.init.constant_(network.head.log_distances.bias, 1e4)
    torch.nn.init.constant_(network.head.offsets.predict.bias, 1e30)
    assert network.decode(network(torch.randn(1, 3, 64, 64))).boxes_xyxy.isfinite().all()


def test_the_package_itself_imports_no_torch():
    code = "import lcageo.detector, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
