import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.slow_assign import (
    level_maps,
    random_scene,
    slow_best,
    slow_centerness,
    slow_distance_to_home,
    slow_inside,
    slow_rescue,
    slow_settle,
)

from lcageo.detector.assign import (
    BACKGROUND,
    IGNORED,
    anchor_places,
    best_of_each,
    centerness,
    distance_to_home,
    lies_inside,
    point_places,
    rescue,
    settle,
)

few = st.integers(0, 5)
some = st.integers(1, 30)
seeds = st.integers(0, 2**31)
SCENES = range(30)


def tied_values(rows: int, columns: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 3, (rows, columns), generator=generator).double()


def test_points_come_level_by_level_with_squares_of_eight_strides():
    places = point_places(level_maps(64, 128))
    assert places.level_sizes == (8 * 16, 4 * 8, 2 * 4, 2, 1)
    assert places.levels.bincount().tolist() == list(places.level_sizes)
    assert places.points_xy[1].tolist() == [12, 4]  # x varies first
    assert places.points_xy[128 + 8].tolist() == [8, 24]  # second row of P4
    assert places.anchors_xyxy[1].tolist() == [12 - 32, 4 - 32, 12 + 32, 4 + 32]


def test_anchors_come_nine_per_cell():
    places = anchor_places(level_maps(64, 64))
    assert places.level_sizes == (576, 144, 36, 9, 9)
    assert places.points_xy[9:18].sub(torch.tensor([12, 4])).abs().max() < 1e-9


@settings(max_examples=60)
@given(rows=few, columns=some, count=st.integers(1, 13), seed=seeds)
def test_best_of_each_takes_the_first_of_equal_values(rows, columns, count, seed):
    values = tied_values(rows, columns, seed)
    marked = best_of_each(values, count)
    assert [row.nonzero()[:, 0].tolist() for row in marked] == [sorted(slow_best(v, count)) for v in values.tolist()]


@settings(max_examples=60)
@given(rows=few, columns=some, seed=seeds)
def test_settling_equals_the_slow_loop(rows, columns, seed):
    wanted, preference = tied_values(rows, columns, seed) > 0, tied_values(rows, columns, seed + 1)
    wants = [set(row.nonzero()[:, 0].tolist()) for row in wanted]
    assert settle(wanted, preference).tolist() == slow_settle(wants, preference.tolist(), columns)


@settings(max_examples=100)
@given(rows=st.integers(0, 8), columns=some, seed=seeds)
def test_rescuing_equals_the_slow_loop(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    objects = torch.randint(-2, max(rows, 1), (columns,), generator=generator).clamp(max=rows - 1)
    cost = tied_values(rows, columns, seed)
    expected, places = slow_rescue(objects.tolist(), cost.tolist())
    found, rescued = rescue(objects, cost)
    assert found.tolist() == expected
    assert set(rescued.nonzero()[:, 0].tolist()) == places


@settings(max_examples=100)
@given(rows=st.integers(0, 8), spare=st.integers(0, 8), seed=seeds)
def test_no_object_is_lost_while_there_are_places(rows, spare, seed):
    columns = rows + spare + 1
    generator = torch.Generator().manual_seed(seed)
    objects = torch.randint(-1, max(rows // 2, 1), (columns,), generator=generator).clamp(max=rows - 1)
    found, _ = rescue(objects, tied_values(rows, columns, seed))
    assert set(range(rows)) <= set(found.tolist())


def test_rescuing_leaves_its_input_unchanged_and_ends_if_objects_outnumber_places():
    objects = torch.tensor([BACKGROUND, IGNORED])
    found, rescued = rescue(objects, torch.tensor([[0.0, 1], [1, 2], [2, 3]]))
    assert found.tolist() == [0, 1] and rescued.all()
    assert objects.tolist() == [BACKGROUND, IGNORED]


def test_an_objects_only_place_is_not_taken_away():
    found, rescued = rescue(torch.tensor([0, BACKGROUND, BACKGROUND]), torch.tensor([[0.0, 0, 0], [0, 5, 3]]))
    assert found.tolist() == [0, BACKGROUND, 1]
    assert rescued.tolist() == [False, False, True]


@pytest.mark.parametrize("seed", SCENES)
def test_geometry_of_points_equals_the_slow_loop(seed):
    places, truth, _ = random_scene(seed)
    points, boxes = places.points_xy.tolist(), truth.boxes_xyxy.tolist()
    assert lies_inside(places.points_xy, truth.boxes_xyxy).tolist() == [
        [slow_inside(p, box) for p in points] for box in boxes
    ]
    costs = distance_to_home(places, truth.boxes_xyxy)
    for i, box in enumerate(boxes):
        found = centerness(places.points_xy, truth.boxes_xyxy[i].expand(len(points), 4))
        assert found.tolist() == pytest.approx([slow_centerness(p, box) for p in points], abs=1e-12)
        assert costs[i].tolist() == pytest.approx(slow_distance_to_home(places, box))


def test_a_small_object_is_nearest_to_the_finest_level_even_on_a_point_of_the_coarsest():
    places = point_places(level_maps(128, 128))
    cost = distance_to_home(places, torch.tensor([[63.0, 63, 65, 65]]))  # P7's only point is (64, 64)
    assert places.levels[cost.argmin()] == 0


def test_an_object_without_area_has_a_finite_cost():
    cost = distance_to_home(point_places(level_maps(64, 64)), torch.tensor([[5.0, 5, 5, 5]]))
    assert cost.isfinite().all()
