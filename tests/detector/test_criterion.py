from dataclasses import replace
from typing import Any

import pytest
import torch
from support.slow_assign import slow_inside
from support.slow_losses import ALIGNED, SOFT, places_of, slow_losses

from lcageo.detector.align import aligned_score
from lcageo.detector.assign_aligned import assign_aligned
from lcageo.detector.assign_geometric import assign_anchors, assign_atss, assign_fcos
from lcageo.detector.boxes import flatten_map
from lcageo.detector.criterion import OBJECTIVES, Losses, compute_losses
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.detector.truth import Truth
from lcageo.network_config import NetworkConfig, Norm, Preset

CLASSES = 3
BOXES_OF_DISTANCES = sorted(set(Preset) - {Preset.RETINANET})
GEOMETRIC = {Preset.RETINANET: assign_anchors, Preset.FCOS: assign_fcos}


def tiny(preset: Preset) -> Network:
    torch.manual_seed(0)
    return build_network(NetworkConfig(preset, CLASSES, "resnet18", backbone_width=16, channels=16, norm=Norm.GN))


def truth_of(*objects: tuple[int, list[float]], labelled: tuple[int, ...] = (0, 1, 2)) -> Truth:
    """Objects as (label, box)."""
    boxes = torch.tensor([box for _, box in objects], dtype=torch.float32).reshape(-1, 4)
    known = torch.zeros(CLASSES, dtype=torch.bool)
    known[list(labelled)] = True
    return Truth(boxes, torch.tensor([label for label, _ in objects], dtype=torch.int64), known)


EMPTY = truth_of()
SOME = truth_of((0, [4, 6, 40, 30]), (2, [30, 20, 62, 60]), (1, [33, 33, 35, 35]))
DIFFICULT = replace(SOME, ignored_xyxy=torch.tensor([[20.0, 12, 52, 64], [2, 2, 6, 6]]))
"""One box covers objects and background; the other contains the first cell's point."""
ONLY_DIFFICULT = replace(EMPTY, ignored_xyxy=torch.tensor([[0.0, 0, 33, 40], [20, 12, 52, 64]]))


def losses_of(network: Network, preset: Preset, truths: list[Truth], seed: int = 0, **options: Any) -> Losses:
    images = torch.randn(len(truths), 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    outputs = network(images.to(next(network.parameters()).dtype))
    return compute_losses(preset, outputs, network.decode(outputs), truths, **options)


def assigned(preset, places, predictions, i, truth):
    if preset in SOFT:
        return assign_aligned(places, predictions.scores[i], predictions.boxes_xyxy[i], truth)
    return GEOMETRIC.get(preset, assign_atss)(places, truth)


def test_every_preset_has_an_objective():
    assert set(OBJECTIVES) == set(Preset)


@pytest.mark.parametrize("preset", Preset)
@torch.no_grad()
def test_losses_equal_the_slow_loop(preset):
    network = tiny(preset).double()
    for name, parameter in network.head.named_parameters():
        if name.endswith("weight") and "norm" not in name:
            parameter.mul_(5)  # away from the initial values, where all scores and boxes are alike
    partial = truth_of((0, [10, 10, 30, 50]), labelled=(0, 2))
    images = torch.randn(5, 3, 64, 64, dtype=torch.float64)
    outputs = network(images)
    predictions, truths = network.decode(outputs), [SOME, EMPTY, partial, DIFFICULT, ONLY_DIFFICULT]
    truths = [Truth(t.boxes_xyxy.double(), t.labels, t.labelled, t.ignored_xyxy.double()) for t in truths]
    found = compute_losses(preset, outputs, predictions, truths)
    classes, boxes, centers = slow_losses(preset, outputs, predictions, truths)
    assert found.class_loss.item() == pytest.approx(classes, rel=1e-9)
    assert found.box_loss.item() == pytest.approx(boxes, rel=1e-9)
    assert (found.centerness_loss is None) == (preset is not Preset.FCOS)
    if found.centerness_loss is not None:
        assert found.centerness_loss.item() == pytest.approx(centers, rel=1e-9)
    assert found.total.item() == pytest.approx(classes + boxes + centers, rel=1e-9)


@pytest.mark.parametrize("preset", Preset)
def test_every_trainable_parameter_receives_a_gradient_even_without_objects(preset):
    for truths in ([SOME, EMPTY], [EMPTY, EMPTY]):
        network = tiny(preset)
        losses_of(network, preset, truths).total.backward()
        gradients = {n: p.grad for n, p in network.named_parameters() if p.requires_grad}
        assert [n for n, g in gradients.items() if g is None] == []  # or DistributedDataParallel would wait forever
        assert all(g.isfinite().all() for g in gradients.values())


@pytest.mark.parametrize("preset", Preset)
def test_images_without_objects_teach_the_class_branch_alone(preset):
    network = tiny(preset)
    losses = losses_of(network, preset, [EMPTY, EMPTY])
    losses.total.backward()
    assert losses.class_loss > 0 and losses.total.isfinite() and losses.box_loss == 0
    assert losses.class_normaliser == losses.box_normaliser == 1
    assert network.head.class_logits.weight.grad.abs().sum() > 0
    regression = network.head.deltas if preset is Preset.RETINANET else network.head.log_distances
    assert regression.weight.grad.abs().sum() == 0


@pytest.mark.parametrize("preset", Preset)
@pytest.mark.parametrize("factor", [-1e5, 1e5])
def test_extreme_logits_give_finite_gradients(preset, factor):
    network = tiny(preset)
    logits = [network.head.class_logits, *([network.head.probability.predict] if preset in ALIGNED else [])]
    with torch.no_grad():
        for layer in logits:
            layer.weight.mul_(abs(factor))
            layer.bias.fill_(factor)
    losses = losses_of(network, preset, [SOME, EMPTY])
    losses.total.backward()
    assert losses.total.isfinite()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("preset", Preset)
def test_losses_are_float32_under_autocast_and_equal_to_those_outside(preset):
    network = tiny(preset)
    with torch.autocast("cpu", torch.bfloat16):
        # Not 64 px: the bfloat16 backward of a 1x1 map is NaN in torch 2.13.
        outputs = network(torch.randn(2, 3, 128, 128))
        predictions = network.decode(outputs)
        inside = compute_losses(preset, outputs, predictions, [SOME, EMPTY])
    outside = compute_losses(preset, outputs, predictions, [SOME, EMPTY])
    assert inside.class_loss.dtype == inside.box_loss.dtype == inside.total.dtype == torch.float32
    assert torch.equal(inside.total, outside.total)
    inside.total.backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("preset", BOXES_OF_DISTANCES)
def test_inverted_boxes_give_a_loss_within_bounds_and_finite_gradients(preset):
    network = tiny(preset)
    images = torch.randn(2, 3, 64, 64)
    outputs = [output._replace(regression=-output.regression) for output in network(images)]
    predictions = network.decode(outputs)
    assert (predictions.boxes_xyxy[..., 2:] < predictions.boxes_xyxy[..., :2]).all()
    losses = compute_losses(preset, outputs, predictions, [SOME, EMPTY])
    losses.total.backward()
    assert 0 < losses.box_loss <= 2 * OBJECTIVES[preset].box_weight
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("preset", Preset)
def test_classes_that_an_image_is_not_annotated_for_are_left_out_of_its_loss(preset):
    network = tiny(preset)
    outputs = network(torch.randn(2, 3, 64, 64))
    for output in outputs:
        output.class_logits.retain_grad()
    partial = truth_of((0, [4, 6, 40, 30]), (1, [30, 20, 62, 60]), labelled=(0, 2))
    compute_losses(preset, outputs, network.decode(outputs), [partial, SOME]).class_loss.backward()
    gradient = torch.cat([flatten_map(output.class_logits.grad, CLASSES) for output in outputs], dim=1)
    touched = gradient.abs().sum(dim=1) > 0
    assert touched.tolist() == [[True, False, True], [True, True, True]]


@pytest.mark.parametrize("preset", Preset)
@torch.no_grad()
def test_objects_of_classes_that_are_not_annotated_do_not_count(preset):
    network = tiny(preset)
    box = [4.0, 6, 40, 30]
    marked = truth_of((0, box), (1, [30, 20, 62, 60]), labelled=(0, 2))
    unmarked = truth_of((0, box), labelled=(0, 2))
    assert losses_of(network, preset, [marked]) == losses_of(network, preset, [unmarked])


def class_gradients(network: Network, preset: Preset, truth: Truth, images: torch.Tensor) -> torch.Tensor:
    """(N, K + 1) or (N, K): gradients of class loss times normaliser with respect to class logits and gate."""
    outputs = network(images)
    maps = [(o.class_logits, CLASSES) for o in outputs]
    gates = [(o.gate_logits, 1) for o in outputs if o.gate_logits is not None and preset in ALIGNED]
    losses = compute_losses(preset, outputs, network.decode(outputs), [truth])
    logits = [logit for logit, _ in maps + gates]
    gradients = torch.autograd.grad(losses.class_loss * losses.class_normaliser, logits)
    flat = [flatten_map(g, depth)[0] for g, (_, depth) in zip(gradients, maps + gates, strict=True)]
    levels = [torch.cat(flat[i : i + len(maps)]) for i in range(0, len(flat), len(maps))]
    return torch.cat(levels, dim=1)


@pytest.mark.parametrize("preset", Preset)
def test_background_inside_difficult_objects_has_no_gradient_and_nothing_else_changes(preset):
    network = tiny(preset)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain = class_gradients(network, preset, SOME, images)
    spared = class_gradients(network, preset, DIFFICULT, images)
    outputs = network(images)
    places = places_of(preset, outputs)
    finds = assigned(preset, places, network.decode(outputs), 0, SOME).objects >= 0
    boxes = DIFFICULT.ignored_xyxy.tolist()
    inside = torch.tensor([any(slow_inside(point, box) for box in boxes) for point in places.points_xy.tolist()])
    assert (inside & finds).any() and (inside & ~finds).any() and (plain[inside & ~finds] != 0).any()
    assert (spared[inside & ~finds] == 0).all()
    assert torch.equal(spared[~inside | finds], plain[~inside | finds])


@pytest.mark.parametrize("preset", Preset)
@torch.no_grad()
def test_difficult_objects_change_neither_box_loss_nor_normalisers(preset):
    network = tiny(preset)
    plain, spared = (losses_of(network, preset, [truth]) for truth in (SOME, DIFFICULT))
    assert spared.class_loss < plain.class_loss
    assert replace(spared, class_loss=plain.class_loss) == plain


@pytest.mark.parametrize("preset", Preset)
@torch.no_grad()
def test_a_difficult_object_without_a_point_inside_changes_nothing(preset):
    network = tiny(preset)
    between = replace(SOME, ignored_xyxy=torch.tensor([[8.0, 8, 12, 12]]))  # points lie on two corners
    assert losses_of(network, preset, [between]) == losses_of(network, preset, [SOME])


@pytest.mark.parametrize("preset", Preset)
def test_an_image_covered_by_a_difficult_object_teaches_nothing(preset):
    network = tiny(preset)
    losses = losses_of(network, preset, [replace(EMPTY, ignored_xyxy=torch.tensor([[-99.0, -99, 199, 199]]))])
    losses.total.backward()
    assert losses.total == 0
    assert all(p.grad is not None and not p.grad.any() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("preset", Preset)
@torch.no_grad()
def test_the_geometric_warm_up_trains_as_the_preset_with_the_same_head(preset):
    network = tiny(preset)
    same_head = {Preset.LCA: Preset.LCA_H, Preset.LCA_SA: Preset.LCA_BASELINE}.get(preset, preset)
    assert losses_of(network, preset, [SOME], geometric=True) == losses_of(network, same_head, [SOME])
    assert (losses_of(network, preset, [SOME]) == losses_of(network, same_head, [SOME])) == (preset == same_head)


@pytest.mark.parametrize("preset", Preset)
@torch.no_grad()
def test_beta_changes_the_presets_that_assign_by_alignment_alone(preset):
    network = tiny(preset)
    usual, six, two = (losses_of(network, preset, [SOME], iou_power=power) for power in (None, 6.0, 2.0))
    assert usual == six and (two != six) == (preset in SOFT)


@pytest.mark.parametrize("preset", Preset)
def test_the_truth_teaches_no_gradient_through_its_targets(preset):
    """The class loss must not reach the boxes: they decide LCA-SA's targets, but as constants."""
    network = tiny(preset)
    losses_of(network, preset, [SOME]).class_loss.backward()
    regression = network.head.deltas if preset is Preset.RETINANET else network.head.log_distances
    assert regression.weight.grad is None or regression.weight.grad.abs().sum() == 0


def test_the_naive_aligned_score_has_nan_gradients_where_ours_are_finite():
    x = torch.full((1, 1, 1, 1), -200.0, requires_grad=True)
    y = torch.zeros(1, 1, 1, 1)
    (naive,) = torch.autograd.grad((x.sigmoid() * y.sigmoid()).sqrt().sum(), x)
    (ours,) = torch.autograd.grad(aligned_score(x, y).sum(), x)
    assert naive.isnan().all() and ours.isfinite().all()
