import math

import pytest
import torch
from support.slow_assign import (
    BACKGROUND,
    IGNORED,
    level_maps,
    random_scene,
    slow_anchors,
    slow_atss,
    slow_fcos,
    slow_iou,
)

from lcageo.detector.assign import RESCUED_QUALITY, anchor_places, point_places
from lcageo.detector.assign_geometric import assign_anchors, assign_atss, assign_fcos, encode_deltas
from lcageo.detector.boxes import decode_deltas
from lcageo.detector.truth import Truth

SCENES = range(40)
POINTS = [assign_fcos, assign_atss]


def truth_of(*boxes: list[float], dtype: torch.dtype = torch.float64) -> Truth:
    boxes_xyxy = torch.tensor(boxes, dtype=dtype).reshape(-1, 4)
    return Truth(boxes_xyxy, torch.zeros(len(boxes), dtype=torch.int64), torch.ones(1, dtype=torch.bool))


@pytest.mark.parametrize("seed", SCENES)
def test_anchors_are_assigned_as_by_the_slow_loop(seed):
    places, truth, _ = random_scene(seed, of_anchors=True)
    found = assign_anchors(places, truth)
    assert found.objects.tolist() == slow_anchors(places, truth.boxes_xyxy.tolist())
    assert torch.equal(found.quality, (found.objects >= 0).double())


@pytest.mark.parametrize("seed", SCENES)
@pytest.mark.parametrize("fast, slow", [(assign_fcos, slow_fcos), (assign_atss, slow_atss)])
def test_points_are_assigned_as_by_the_slow_loop(fast, slow, seed):
    places, truth, _ = random_scene(seed)
    found = fast(places, truth)
    objects, quality = slow(places, truth.boxes_xyxy.tolist())
    assert found.objects.tolist() == objects
    assert found.quality.tolist() == pytest.approx(quality, abs=1e-12)


@pytest.mark.parametrize("seed", SCENES)
@pytest.mark.parametrize("assign", [assign_anchors, *POINTS])
def test_no_object_is_lost(assign, seed):
    places, truth, _ = random_scene(seed, of_anchors=assign is assign_anchors)
    found = assign(places, truth)
    assert set(range(len(truth.labels))) <= set(found.objects.tolist())
    assert (found.quality[found.objects >= 0] > 0).all()


@pytest.mark.parametrize("assign", [assign_anchors, *POINTS])
def test_an_image_without_objects_is_all_background(assign):
    make = anchor_places if assign is assign_anchors else point_places
    found = assign(make(level_maps(64, 64)), truth_of())
    assert (found.objects == BACKGROUND).all() and (found.quality == 0).all()


@pytest.mark.parametrize("assign", [assign_anchors, *POINTS])
def test_assignments_are_float32_and_without_gradient(assign):
    make = anchor_places if assign is assign_anchors else point_places
    found = assign(make(level_maps(64, 64, torch.float32)), truth_of([5, 5, 50, 40], dtype=torch.float32))
    assert found.quality.dtype == torch.float32 and not found.quality.requires_grad
    assert found.objects.dtype == torch.int64


@pytest.mark.parametrize("assign", POINTS)
def test_an_object_between_the_points_gets_its_nearest(assign):
    places = point_places(level_maps(64, 64))
    found = assign(places, truth_of([18, 17, 20, 19]))
    place = (found.objects == 0).nonzero()[:, 0]
    assert places.points_xy[place].tolist() == [[20, 20]]
    assert found.quality[place].tolist() == [RESCUED_QUALITY]


@pytest.mark.parametrize("assign", [assign_anchors, *POINTS])
def test_two_objects_of_one_cell_and_a_large_one_around_them_all_get_places(assign):
    make = anchor_places if assign is assign_anchors else point_places
    found = assign(make(level_maps(64, 64)), truth_of([18, 17, 20, 19], [17, 18, 19, 20], [0, 0, 64, 64]))
    assert {0, 1, 2} <= set(found.objects.tolist())


@pytest.mark.parametrize("assign", [assign_anchors, *POINTS])
def test_a_box_without_area_does_no_harm(assign):
    make = anchor_places if assign is assign_anchors else point_places
    found = assign(make(level_maps(64, 64)), truth_of([5, 5, 5, 5], [10, 10, 50, 50]))
    assert {0, 1} <= set(found.objects.tolist())
    assert found.quality.isfinite().all()


def test_anchors_between_the_two_limits_are_ignored_unless_an_object_has_no_other():
    places = anchor_places(level_maps(64, 64))
    anchor = places.anchors_xyxy[9 * 27]  # of the cell around (28, 28)
    width = float(anchor[2] - anchor[0])
    alone = assign_anchors(places, truth_of([*anchor.tolist()]))
    assert alone.objects[9 * 27] == 0
    iou = torch.tensor([slow_iou(anchor.tolist(), other) for other in places.anchors_xyxy.tolist()])
    assert ((alone.objects == IGNORED) == ((iou >= 0.4) & (iou < 0.5))).all()
    assert ((alone.objects == 0) == (iou >= 0.5)).all()
    tiny = assign_anchors(places, truth_of([28, 28, 28 + width / 10, 30]))
    assert (tiny.objects == 0).sum() == 1  # no anchor overlaps it by 0.4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_small_object_inside_many_anchors_gets_one_around_its_centre(dtype):
    places = anchor_places(level_maps(128, 128, dtype))
    for x, y in ((61.3, 44.9), (20.2, 84.1), (92.0, 92.0)):
        found = assign_anchors(places, truth_of([x - 3.1, y - 2.7, x + 3.1, y + 2.7], dtype=dtype))
        (place,) = (found.objects == 0).nonzero()[:, 0].tolist()
        centre = torch.tensor([x // 8 * 8 + 4, y // 8 * 8 + 4], dtype=dtype)
        torch.testing.assert_close(places.points_xy[place], centre)
        assert places.levels[place] == 0


def test_fcos_gives_a_point_in_two_objects_to_the_smaller():
    places = point_places(level_maps(128, 128))
    found = assign_fcos(places, truth_of([0, 0, 100, 100], [30, 30, 70, 70]))
    centre = ((places.points_xy == torch.tensor([52.0, 52])).all(dim=1) & (places.levels == 0)).nonzero()[0, 0]
    assert found.objects[centre] == 1


def test_fcos_chooses_levels_by_the_farthest_side():
    places = point_places(level_maps(512, 512))
    found = assign_fcos(places, truth_of([0, 0, 100, 100], [100, 100, 500, 500]))
    assert set(places.levels[found.objects == 0].tolist()) == {0, 1}  # 50 px from the centre, 64 and more beside it
    assert set(places.levels[found.objects == 1].tolist()) == {2, 3}


@pytest.mark.parametrize("level, point, box", [(0, 68.0, [4, 36, 130, 100]), (1, 72.0, [8, 40, 134, 104])])
def test_an_object_exactly_at_the_limit_belongs_to_both_levels(level, point, box):
    places = point_places(level_maps(160, 160))  # the point is 64 px from the left side, less from the others
    found = assign_fcos(places, truth_of(box))
    place = ((places.points_xy == point).all(dim=1) & (places.levels == level)).nonzero()[0, 0]
    assert found.objects[place] == 0


def test_encoded_deltas_decode_to_the_boxes():
    places, truth, _ = random_scene(3, of_anchors=True)
    box = truth.boxes_xyxy[:1].expand(len(places.anchors_xyxy), 4)
    deltas = encode_deltas(places.anchors_xyxy, box)
    reached = (deltas[:, 2:] < math.log(62)).all(dim=1)  # decoding limits growth
    torch.testing.assert_close(decode_deltas(places.anchors_xyxy, deltas)[reached], box[reached])


def test_an_empty_box_has_finite_deltas():
    assert encode_deltas(torch.tensor([[0.0, 0, 32, 32]]), torch.tensor([[4.0, 4, 4, 4]])).isfinite().all()
