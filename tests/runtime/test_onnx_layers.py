"""Layers of the graph: equal to those of the network, and without changes of layout in OpenVINO."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from lcageo.detector.lca_head import LcaHead
from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Preset
from lcageo.runtime.catalog import find_card
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.onnx_layers import GraphGroupNorm, use_graph_layers
from lcageo.runtime.openvino_backend import _core

CHANNELS, CONVS = 32, 3


def spread(module: nn.Module) -> None:
    """Replaces initial values, with which wrong weights would show as little as right ones."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16)])
@pytest.mark.parametrize("mean", [0.0, 50.0])
def test_group_normalisation_is_that_of_torch_wherever_the_mean_lies(size: tuple[int, int], mean: float) -> None:
    expected = nn.GroupNorm(4, CHANNELS)
    spread(expected)
    layer = copy.deepcopy(expected)
    use_graph_layers(layer)
    assert isinstance(layer, GraphGroupNorm)
    maps = torch.randn(2, CHANNELS, *size, generator=torch.Generator().manual_seed(1)) + mean
    torch.testing.assert_close(layer(maps), expected(maps), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_head_gives_the_same_outputs_from_weights_of_the_same_names() -> None:
    head = LcaHead(CHANNELS, 3, CONVS).eval()
    spread(head)
    graph_head = copy.deepcopy(head)
    use_graph_layers(graph_head)
    assert list(graph_head.state_dict()) == list(head.state_dict())
    generator = torch.Generator().manual_seed(1)
    levels = [torch.randn(1, CHANNELS, side, side + 1, generator=generator) for side in (8, 4, 2, 1, 1)]
    for found, expected in zip(graph_head(levels), head(levels), strict=True):
        for one, other in zip(found, expected, strict=True):
            assert one is not None and other is not None
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_single_image_is_demanded_as_weights_differ_between_images() -> None:
    head = LcaHead(CHANNELS, 3, CONVS)
    use_graph_layers(head)
    with pytest.raises(AssertionError, match="graphs take one image"):
        head([torch.zeros(2, CHANNELS, 2, 2)] * 5)


@pytest.mark.parametrize("preset", list(Preset))
@torch.inference_mode()
def test_networks_of_all_presets_give_the_same(preset: Preset) -> None:
    network = build_network(NetworkConfig(preset, 3, "resnet18", 16, channels=16, head_convs=2)).eval()
    spread(network.head)
    graph_network = copy.deepcopy(network)
    use_graph_layers(graph_network)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found, expected = graph_network.predict(images), network.predict(images)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.boxes_xyxy, expected.boxes_xyxy, rtol=1e-3, atol=1e-2)


def test_openvino_leaves_the_maps_of_the_head_in_one_layout(untrained: Path) -> None:
    card = find_card(str(untrained))
    core = _core()
    compiled = core.compile_model(core.read_model(onnx_graph(card), b""), "CPU")
    nodes = compiled.get_runtime_model().get_ordered_ops()
    changed = [one for one in nodes if one.get_rt_info()["layerType"].astype(str) == "Reorder"]
    sides = {tuple(one.output(0).get_shape())[1:] for one in changed if len(one.output(0).get_shape()) == 4}
    channels = card.own_network.channels
    maps = [shape for shape in sides if shape[0] >= channels and shape[1] * shape[2] > 1]
    assert not maps, f"OpenVINO brings maps of these shapes into another layout: {maps}"
