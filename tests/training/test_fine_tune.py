from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.errors import ModelError
from lcageo.network_config import NetworkConfig, Norm, Preset
from lcageo.training.fine_tune import load_for_fine_tuning

OLD = ("ship", "car", "plane")


def tiny(preset: Preset, classes: int, norm: Norm = Norm.BN, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return build_network(NetworkConfig(preset, classes, "resnet18", backbone_width=16, channels=16, norm=norm)).eval()


def trained(preset: Preset) -> Network:
    """Imitates a trained network: no row of its class layer and no buffer is like another's."""
    network = tiny(preset, len(OLD), seed=1)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor) if "running_var" in name else 0.05 * torch.randn_like(tensor))
    return network


@torch.inference_mode()
def scores_and_boxes(network: Network) -> tuple[Tensor, Tensor]:
    """(N, K) and (N, 4) on one image."""
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    found = network.predict(image)
    return found.scores[0], found.boxes_xyxy[0]


@pytest.mark.parametrize("preset", Preset)
def test_the_same_classes_in_another_order_give_the_same_scores_in_that_order(preset: Preset) -> None:
    source, network = trained(preset), tiny(preset, 3)
    report = load_for_fine_tuning(network, OLD, ("plane", "ship", "car"), source.state_dict())
    scores, boxes = scores_and_boxes(network)
    old_scores, old_boxes = scores_and_boxes(source)
    assert old_scores.std(dim=1).min() > 1e-6  # or any order would do
    torch.testing.assert_close(scores, old_scores[:, [2, 0, 1]], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(boxes, old_boxes)
    assert (report.kept, report.new, report.dropped) == (("plane", "ship", "car"), (), ())
    assert report.tensors == len(source.state_dict())


@pytest.mark.parametrize("preset", Preset)
def test_known_classes_keep_their_scores_and_new_ones_keep_their_initial_values(preset: Preset) -> None:
    source, network = trained(preset), tiny(preset, 4)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    report = load_for_fine_tuning(network, OLD, ("bridge", "car", "dam", "ship"), source.state_dict())
    torch.testing.assert_close(
        scores_and_boxes(network)[0][:, [1, 3]], scores_and_boxes(source)[0][:, [1, 0]], rtol=1e-5, atol=1e-7
    )
    for name, tensor in network.state_dict().items():
        if name.startswith("head.class_logits"):
            anchors = len(tensor) // 4
            for row in range(4 * anchors):  # row a * K + k, one by one
                anchor, k = divmod(row, 4)
                known = {1: 1, 3: 0}.get(k)
                expected = fresh[name][row] if known is None else source.state_dict()[name][anchor * 3 + known]
                assert torch.equal(tensor[row], expected)
        else:
            assert torch.equal(tensor, source.state_dict()[name])
    assert str(report) == f"{report.tensors} tensors loaded; classes kept: car, ship; new: bridge, dam; left out: plane"


@pytest.mark.parametrize("preset", Preset)
def test_a_new_class_starts_at_the_prior(preset: Preset) -> None:
    network = tiny(preset, 1)
    load_for_fine_tuning(network, OLD, ("dam",), trained(preset).state_dict())
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, 64, 64))
    assert torch.cat([output.class_logits.sigmoid().flatten() for output in outputs]).mean() == pytest.approx(0.01, 0.2)
    assert (network.head.class_logits.bias.sigmoid() - 0.01).abs().max() < 1e-6


def test_half_precision_weights_are_taken_over_in_the_networks_precision() -> None:
    network = tiny(Preset.LCA, 3)
    half = {n: t.half() if t.is_floating_point() else t for n, t in trained(Preset.LCA).state_dict().items()}
    load_for_fine_tuning(network, OLD, OLD, half)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert torch.equal(network.head.class_logits.bias, half["head.class_logits.bias"].float())


def test_weights_of_another_network_are_refused_and_change_nothing() -> None:
    network = tiny(Preset.LCA, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    wider = NetworkConfig(Preset.LCA, 3, "resnet18", backbone_width=16, channels=24, norm=Norm.BN)
    for other, message in [
        (build_network(wider), r"neck\S+ is \(24, 32, 1, 1\), not \(16, 32, 1, 1\); .*; .* \(and \d+ more\); choose"),
        (tiny(Preset.LCA, 3, Norm.GN), r"backbone.bn1.running_mean is missing, not \(16,\); "),
        (tiny(Preset.LCA, 4), r"head.class_logits.weight is \(4, 16, 3, 3\), not \(3, 16, 3, 3\); .*bias is \(4,\)"),
    ]:
        with pytest.raises(ModelError, match=message):
            load_for_fine_tuning(network, OLD, ("car", "dam"), other.state_dict())
    with pytest.raises(ModelError, match=r"network: extra is \(1,\), not expected; choose"):
        load_for_fine_tuning(
            network, OLD, ("car", "dam"), {**trained(Preset.LCA).state_dict(), "extra": torch.zeros(1)}
        )
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
