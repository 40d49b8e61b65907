"""Recorded forward passes; what needs a GPU is skipped without one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lcageo.detector.outputs import Predictions
from lcageo.runtime.cuda_graph import _MAX_SHAPES, GraphedForward

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="SKIPPED FOR LACK OF A GPU: CUDA graphs are recorded on one"
)


def sums(pixels: Tensor) -> Predictions:
    """Scores and boxes that depend on every pixel."""
    total = pixels.float().sum(dim=(2, 3))[:, None]  # (B, 1, 3)
    return Predictions(total / 7, torch.cat([total, total[..., :1]], dim=-1), (1,))


def waiting(pixels: Tensor) -> Predictions:
    """The same, but waits for the device, which cannot be recorded."""
    assert pixels.sum().item() >= 0
    return sums(pixels)


def images(count: int, seed: int, device: str) -> Tensor:
    made = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return made.to(device)


def test_shapes_that_cannot_be_recorded_are_run_directly_and_not_tried_again() -> None:
    forward = GraphedForward(waiting, torch.device("cpu"))
    pixels = images(2, 0, "cpu")
    forward._recorded = {pixels.shape: None, torch.Size((9, 3, 8, 8)): None}
    for given in (pixels, images(3, 1, "cpu")):  # the second is beyond the maximum number of shapes
        assert torch.equal(forward(given).scores, sums(given).scores)
    assert len(forward._recorded) == _MAX_SHAPES and not any(forward._recorded.values())


@needs_gpu
def test_replaying_gives_what_running_gives_for_new_pixels_of_every_shape() -> None:
    forward = GraphedForward(sums, torch.device("cuda"))
    for seed, count in enumerate((2, 4, 2, 6, 4)):
        pixels = images(count, seed, "cuda")
        found, expected = forward(pixels), sums(pixels)
        assert torch.equal(found.scores, expected.scores) and torch.equal(found.boxes_xyxy, expected.boxes_xyxy)
    assert sorted(shape[0] for shape in forward._recorded) == [2, 4]
    assert all(forward._recorded.values())


@needs_gpu
def test_a_result_is_overwritten_by_the_next_of_its_shape() -> None:
    forward = GraphedForward(sums, torch.device("cuda"))
    first = forward(images(2, 0, "cuda")).scores
    before = first.clone()
    second = forward(images(2, 1, "cuda")).scores
    assert first.data_ptr() == second.data_ptr() and not torch.equal(before, first)


@needs_gpu
def test_a_layer_that_waits_for_the_device_is_run_without_a_graph() -> None:
    forward = GraphedForward(waiting, torch.device("cuda"))
    pixels = images(2, 0, "cuda")
    assert torch.equal(forward(pixels).scores, sums(pixels).scores)
    assert list(forward._recorded.values()) == [None]
