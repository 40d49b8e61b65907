import pytest
import torch
from support.slow_assign import BACKGROUND, CLASSES, level_maps, random_scene, slow_aligned, slow_inside, slow_iou

from lcageo.detector.assign import RESCUED_QUALITY, point_places
from lcageo.detector.assign_aligned import assign_aligned
from lcageo.detector.truth import Truth

SCENES = range(60)


def random_predictions(places, truth, rng):
    """Scores in tenths, so that many tie; a third of the boxes near objects, and some inverted."""
    number = len(places.points_xy)
    scores = torch.from_numpy(rng.integers(0, 11, (number, CLASSES)) / 10)
    around = torch.from_numpy(rng.integers(-2, 12, (number, 4)) * 4.0) * torch.tensor([-1.0, -1, 1, 1])
    boxes = places.points_xy.repeat(1, 2) + around
    if len(truth.labels):
        near = torch.from_numpy(rng.random(number) < 0.3)
        chosen = torch.from_numpy(rng.integers(0, len(truth.labels), number))
        shifts = torch.from_numpy(rng.integers(-2, 3, (number, 4)).astype(float))
        boxes = torch.where(near[:, None], truth.boxes_xyxy[chosen] + shifts, boxes)
    return scores, boxes


def one_truth(*boxes: list[float]) -> Truth:
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    return Truth(torch.tensor(boxes, dtype=torch.float64), labels, torch.ones(CLASSES, dtype=torch.bool))


@pytest.mark.parametrize("seed", SCENES)
def test_places_are_assigned_as_by_the_slow_loop(seed):
    places, truth, rng = random_scene(seed)
    scores, boxes = random_predictions(places, truth, rng)
    found = assign_aligned(places, scores, boxes, truth)
    objects, quality = slow_aligned(places, scores, boxes, truth)
    assert found.objects.tolist() == objects
    assert found.quality.tolist() == pytest.approx(quality, rel=1e-9)


@pytest.mark.parametrize("beta", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("seed", range(10))
def test_another_beta_is_that_of_the_slow_loop(seed, beta):
    places, truth, rng = random_scene(seed)
    scores, boxes = random_predictions(places, truth, rng)
    found = assign_aligned(places, scores, boxes, truth, beta)
    objects, quality = slow_aligned(places, scores, boxes, truth, beta)
    assert found.objects.tolist() == objects and found.quality.tolist() == pytest.approx(quality, rel=1e-9)


@pytest.mark.parametrize("seed", SCENES)
def test_every_object_has_a_place_and_targets_reach_its_best_iou(seed):
    places, truth, rng = random_scene(seed)
    scores, boxes = random_predictions(places, truth, rng)
    found = assign_aligned(places, scores, boxes, truth)
    assert (found.quality >= 0).all() and (found.quality <= 1).all()
    for m, box in enumerate(truth.boxes_xyxy.tolist()):
        own = (found.objects == m).nonzero()[:, 0].tolist()
        assert own
        best = max(slow_iou(box, boxes[n].tolist()) for n in own)
        highest = float(max(found.quality[n] for n in own))
        assert highest == pytest.approx(best) or (best < highest == RESCUED_QUALITY)


def test_the_thirteen_are_of_all_levels_together_and_only_then_those_inside_count():
    places = point_places(level_maps(128, 128))
    box = [60.0, 60.0, 101.0, 101.0]
    predicted = torch.tensor(box, dtype=torch.float64).expand(len(places.points_xy), 4)
    scores = torch.full((len(places.points_xy), CLASSES), 0.1, dtype=torch.float64)
    best = [0, 1, 2, 3, 300, 330, 340, *[n for n in range(256) if slow_inside(places.points_xy[n].tolist(), box)][:6]]
    scores[best] = 0.9
    found = assign_aligned(places, scores, predicted, one_truth(box))
    expected = [n for n in best if slow_inside(places.points_xy[n].tolist(), box)]
    assert sorted(expected) == (found.objects == 0).nonzero()[:, 0].tolist()
    assert set(places.levels[found.objects == 0].tolist()) == {0, 1, 2, 4}


def test_scores_of_other_classes_do_not_count():
    places = point_places(level_maps(64, 64))
    truth = one_truth([8, 8, 56, 56])
    predicted = truth.boxes_xyxy.expand(len(places.points_xy), 4)
    scores = torch.zeros(len(places.points_xy), CLASSES, dtype=torch.float64)
    scores[:, 1] = 0.9
    scores[27, 0] = 0.2
    assert (assign_aligned(places, scores, predicted, truth).objects >= 0).nonzero().tolist() == [[27]]


def test_an_object_between_the_points_gets_its_nearest_with_a_target_above_zero():
    places = point_places(level_maps(64, 64))
    scores = torch.full((len(places.points_xy), CLASSES), 0.5, dtype=torch.float64)
    found = assign_aligned(places, scores, places.anchors_xyxy, one_truth([18, 17, 20, 19]))
    place = (found.objects == 0).nonzero()[:, 0]
    assert places.points_xy[place].tolist() == [[20, 20]]
    assert found.quality[place].tolist() == [RESCUED_QUALITY]


def test_an_object_whose_boxes_all_miss_is_not_lost():
    places = point_places(level_maps(64, 64))
    scores = torch.full((len(places.points_xy), CLASSES), 0.5, dtype=torch.float64)
    missing = torch.tensor([900.0, 900, 910, 910], dtype=torch.float64).expand(len(scores), 4)
    found = assign_aligned(places, scores, missing, one_truth([10, 10, 50, 50]))
    assert (found.objects == 0).sum() == 1
    assert found.quality.isfinite().all()


def test_an_image_with_fewer_points_than_thirteen_works():
    places = point_places(level_maps(8, 8))
    scores = torch.full((5, CLASSES), 0.5, dtype=torch.float64)
    found = assign_aligned(places, scores, places.anchors_xyxy, one_truth([0, 0, 8, 8]))
    assert found.objects.tolist()[0] == 0


def test_an_image_without_objects_is_all_background():
    places = point_places(level_maps(64, 64))
    truth = Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.ones(CLASSES, dtype=torch.bool))
    found = assign_aligned(places, torch.rand(len(places.points_xy), CLASSES), places.anchors_xyxy.float(), truth)
    assert (found.objects == BACKGROUND).all() and (found.quality == 0).all()
    assert found.quality.dtype == torch.float32


def test_assignments_hold_no_gradient():
    places = point_places(level_maps(64, 64))
    scores = torch.full((len(places.points_xy), CLASSES), 0.5, requires_grad=True)
    boxes = places.anchors_xyxy.clone().requires_grad_()
    assert not assign_aligned(places, scores, boxes, one_truth([8, 8, 56, 56])).quality.requires_grad
