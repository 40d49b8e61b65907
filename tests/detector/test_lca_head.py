"""LCA-H: the decomposition against a plain sum, and what P and O do to scores and boxes."""

import math

import pytest
import torch

from lcageo.detector.lca_head import LcaHead, SpatialMap, TaskDecomposition
from lcageo.detector.network import Network
from lcageo.detector.outputs import LevelOutput
from lcageo.detector.presets import build_network
from lcageo.network_config import NetworkConfig, Norm, Preset

CLASSES = 3

CHANNELS, CONVS = 16, 3


@torch.inference_mode()
def test_a_task_mixes_the_features_by_attention_and_then_by_its_weights():
    task = TaskDecomposition(CHANNELS, CONVS)
    torch.nn.init.normal_(task.excite.bias)
    stacked = torch.randn(2, CONVS * CHANNELS, 4, 5, generator=torch.Generator().manual_seed(0))
    pooled = stacked.mean(dim=(2, 3), keepdim=True)
    attention = task.excite(torch.relu(task.squeeze(pooled))).sigmoid()[:, :, 0, 0]
    expected = torch.zeros(2, CHANNELS, 4, 5)
    for image in range(2):
        for conv in range(CONVS):
            features = stacked[image, conv * CHANNELS : (conv + 1) * CHANNELS]
            expected[image] += attention[image, conv] * torch.einsum("oi,ihw->ohw", task.weight[:, conv], features)
    torch.testing.assert_close(task(stacked, pooled), torch.relu(task.norm(expected)), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_map_has_the_size_of_its_features_and_is_float32_at_least():
    layers = SpatialMap(CHANNELS, 4, 8, 0.01)
    assert layers(torch.randn(2, CHANNELS, 3, 7)).shape == (2, 8, 3, 7)
    with torch.autocast("cpu", torch.bfloat16):
        assert layers(torch.randn(1, CHANNELS, 2, 2)).dtype == torch.float32


@torch.inference_mode()
def test_each_level_is_computed_on_its_own_and_its_distances_are_scaled():
    head, maps = LcaHead(CHANNELS, 3, CONVS), [torch.randn(1, CHANNELS, side, side) for side in (8, 4, 2, 1, 1)]
    before = head(maps)
    head.scales[1] = 2.0
    after = head(maps)
    torch.testing.assert_close(after[1].regression, 2 * before[1].regression)
    for level in (0, 2, 3, 4):
        assert torch.equal(after[level].regression, before[level].regression)
    assert [tuple(level.offsets.shape) for level in after] == [(1, 8, side, side) for side in (8, 4, 2, 1, 1)]


def test_scores_are_geometric_means_and_boxes_stay_where_offsets_are_zero():
    logits, gate = torch.tensor([2.0, -1.0, 0.0]), -0.5
    output = LevelOutput(
        logits.reshape(1, 3, 1, 1).expand(1, 3, 2, 2), torch.full((1, 4, 2, 2), 0.75),
        torch.full((1, 1, 2, 2), gate), torch.zeros(1, 8, 2, 2),
    )  # fmt: skip
    scores, boxes = LcaHead(CHANNELS, 3, CONVS).decode(output, 8)

    assert scores[0, 3].tolist() == pytest.approx(
        [math.sqrt(1 / (1 + math.exp(-x)) / (1 + math.exp(-gate))) for x in logits.tolist()]
    )
    for place, (x, y) in enumerate([(4, 4), (12, 4), (4, 12), (12, 12)]):
        assert boxes[0, place].tolist() == [x - 6, y - 6, x + 6, y + 6]


def test_an_offset_of_one_column_takes_the_side_of_the_neighbouring_cell():
    distances = torch.ones(1, 4, 1, 3)
    distances[0, 0] = torch.tensor([[1.0, 2.0, 3.0]])  # to the left side
    offsets = torch.zeros(1, 8, 1, 3)
    offsets[0, 1, 0, 0] = 1.0  # of the left side: row, column
    output = LevelOutput(torch.zeros(1, 3, 1, 3), distances, torch.zeros(1, 1, 1, 3), offsets)
    _, boxes = LcaHead(CHANNELS, 3, CONVS).decode(output, 8)
    left_of_neighbour = 12 - 2 * 8
    assert boxes[0, 0].tolist() == [left_of_neighbour, -4, 12, 12]
    assert boxes[0, 1].tolist() == [left_of_neighbour, -4, 20, 12]


def tiny(preset: Preset, norm: Norm | None = None, **settings: int) -> Network:
    torch.manual_seed(0)
    return build_network(
        NetworkConfig(
            preset, CLASSES, "resnet18", backbone_width=16, channels=settings.pop("channels", 16), norm=norm, **settings
        )
    ).eval()


@pytest.mark.parametrize("preset", [Preset.LCA, Preset.LCA_H])
def test_only_attention_and_offsets_start_ten_times_smaller(preset):
    head = tiny(preset, channels=128).head
    small = {"class_task.squeeze", "class_task.excite", "box_task.squeeze", "box_task.excite", "offsets.reduce"}
    for name, parameter in head.named_parameters():
        layer = name.removesuffix(".weight")
        if parameter.ndim > 2:
            std = 0.001 if layer in small | {"offsets.predict"} else 0.01
            assert parameter.std().item() == pytest.approx(std, rel=0.25), name  # the smallest layer has 96 values
