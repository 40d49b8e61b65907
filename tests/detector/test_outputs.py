"""Outputs are plain tuples to torch: tracing and transferring them needs no registration."""

import torch
from torch.utils import _pytree as pytree

from lcageo.detector.outputs import LevelOutput, Predictions


def test_what_a_preset_lacks_is_none():
    output = LevelOutput(torch.zeros(1, 3, 2, 2), torch.zeros(1, 4, 2, 2))
    assert output.gate_logits is None and output.offsets is None


def test_torch_maps_over_every_tensor_and_keeps_the_type():
    given = Predictions(torch.ones(1, 2, 3), torch.ones(1, 2, 4), (2,))
    doubled = pytree.tree_map_only(torch.Tensor, lambda tensor: 2 * tensor, given)
    assert isinstance(doubled, Predictions) and doubled.level_sizes == (2,)
    assert doubled.scores.eq(2).all() and doubled.boxes_xyxy.eq(2).all()


def test_a_compiled_function_takes_and_returns_them_in_one_graph():
    def swapped(output: LevelOutput) -> Predictions:
        return Predictions(output.regression, output.class_logits, (1,))

    compiled = torch.compile(swapped, backend="eager", fullgraph=True)
    found = compiled(LevelOutput(torch.zeros(1), torch.ones(1)))
    assert isinstance(found, Predictions) and found.scores.item() == 1 and found.boxes_xyxy.item() == 0
