"""Merging tiles: the rule at their seams, and bands against one pass in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.crowds import as_rows, plain_nms, plain_overlap

from lcageo.config import MergeMetric
from lcageo.detections import Detections
from lcageo.inference import merge
from lcageo.inference.merge import Cell, MergedPass, Merger, MergeRule, Merging, Seen, merged_cell
from lcageo.journal.tile_outcomes import TileOutcome, TileOutcomes
from lcageo.nms import nms, ranking
from lcageo.scene.tiles import plan_tiles

Box = tuple[float, float, float, float]
Tiles = list[tuple[Box, Detections]]
TILES: list[Box] = [(0, 0, 100, 100), (80, 0, 180, 100), (60, 0, 180, 100)]


def seen(*rows: tuple[int, float, float, float], labels: tuple[int, ...] = ()) -> Tiles:
    """Detections from (tile, x1, x2, score) with y from 10 to 30, in a scene of 180 x 100."""
    kinds = labels or (0,) * len(rows)
    one = [
        Detections(np.array([[x1, 10.0, x2, 30.0]]), np.array([score], np.float32), np.array([label]))
        for (_, x1, x2, score), label in zip(rows, kinds, strict=True)
    ]
    return [(TILES[row[0]], found) for row, found in zip(rows, one, strict=True)]


def merged(tiles: Tiles, threshold: float = 0.6) -> Detections:
    merger = Merger(rule := MergeRule(180, 100, threshold))
    for bounds, found in tiles:
        merger.add(seen_by(TILES.index(bounds), bounds, found, rule))
    return merger.final()


def seen_by(tile: int, bounds: Box, found: Detections, rule: MergeRule) -> Seen:
    return Seen.of(found, np.full(len(found), tile), np.tile(np.array(bounds, np.float64), (len(found), 1)), rule)


def test_a_cut_box_yields_to_the_neighbour_that_saw_the_whole_though_it_scores_less() -> None:
    found = seen((0, 88, 100, 0.9), (1, 88, 118, 0.5))
    assert merged(found).boxes_xyxy.tolist() == [[88, 10, 118, 30]]


def test_a_cut_box_stays_if_no_neighbour_saw_more() -> None:
    found = seen((0, 88, 100, 0.9), (1, 140, 170, 0.5))
    assert len(merged(found)) == 2


def test_a_cut_box_does_not_yield_to_another_object_beside_it() -> None:
    found = seen((0, 82, 100, 0.9), (1, 96, 130, 0.5))
    assert len(merged(found)) == 2


def test_a_cut_part_yields_though_it_was_taken_for_something_else() -> None:
    found = seen((0, 88, 100, 0.9), (1, 88, 118, 0.5), labels=(3, 1))
    assert merged(found).labels.tolist() == [1]


def test_of_two_cut_halves_the_larger_stays() -> None:
    found = seen((0, 75, 100, 0.9), (1, 80, 106, 0.5))
    assert merged(found).boxes_xyxy.tolist() == [[80, 10, 106, 30]]


def test_the_scenes_own_border_is_no_seam() -> None:
    # x2 = 180 is the scene's border: the short box is whole there and need not yield to the longer one.
    found = seen((1, 160, 180, 0.9), (2, 150, 180, 0.5))
    assert len(merged(found, 0.9)) == 2


def crowded_tiles(seed: int) -> tuple[Tiles, MergeRule]:
    """A scene of some rows of tiles, and what each saw of objects that are common to all, with some error."""
    rng = np.random.default_rng(seed)
    size, step, columns, rows = 40, int(rng.integers(15, 40)), int(rng.integers(1, 4)), int(rng.integers(1, 6))
    width, height = step * (columns - 1) + size, step * (rows - 1) + size
    centres, sides = rng.uniform(0, (width, height), (int(rng.integers(1, 40)), 2)), rng.uniform(2, 30, 2)
    tiles = []
    for row in range(rows):
        for column in range(columns):
            bounds = (column * step, row * step, column * step + size, row * step + size)
            middle = centres + rng.normal(0, 1.0, centres.shape).round(int(rng.integers(0, 3)))
            boxes = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)
            cut = np.clip(boxes, np.tile(bounds[:2], 2), np.tile(bounds[2:], 2))
            there = (cut[:, 2:] > cut[:, :2]).all(axis=1)
            scores = rng.choice([0.3, 0.5, 0.7, 0.9], len(cut)).astype(np.float32)
            tiles.append((bounds, Detections(cut, scores, rng.integers(0, 2, len(cut))).selected(there)))
    rule = MergeRule(
        width,
        height,
        float(rng.choice([0.0, 0.2, 0.6, 0.9])),
        rng.choice(list(MergeMetric)),
        bool(rng.integers(2)),
        (2.0, float(rng.choice([2.0, 3.0]))),
    )
    return tiles, rule


def plain_merge(tiles: Tiles, rule: MergeRule) -> Detections:
    """One pass over all boxes, in loops."""
    found = Detections.joined([part for _, part in tiles])
    bounds = [one for one, part in tiles for _ in range(len(part))]
    boxes = found.boxes_xyxy
    limits = (np.inf, np.inf, rule.scene_width, rule.scene_height)
    kept = []
    for i, (box, own) in enumerate(zip(boxes, bounds, strict=True)):
        area = (box[2] - box[0]) * (box[3] - box[1])
        cut = [0 < own[k] < limits[k] and abs(box[k] - own[k]) <= rule.seam_tolerance[k % 2] for k in range(4)]
        for other, whose in zip(boxes, bounds, strict=True):
            beyond = [other[0] < own[0], other[1] < own[1], other[2] > own[2], other[3] > own[3]]
            larger = (other[2] - other[0]) * (other[3] - other[1]) > area
            as_seen = np.clip(other, np.tile(own[:2], 2), np.tile(own[2:], 2))
            shown = as_seen[2] > as_seen[0] and as_seen[3] > as_seen[1]
            if whose != own and larger and shown and any(c and b for c, b in zip(cut, beyond, strict=True)):
                touches = plain_overlap(box, other, MergeMetric.IOU) > 0
                if touches and plain_overlap(box, as_seen, MergeMetric.IOU) > rule.threshold:
                    break
        else:
            kept.append(i)
    whole = found.selected(np.array(kept, np.intp))
    return whole.selected(np.array(plain_nms(whole, rule.threshold, rule.metric, rule.agnostic), np.intp))


def in_bands(tiles: Tiles, rule: MergeRule, asked: int) -> Detections:
    """The same by bands: what is final is taken out before every `asked`-th row of tiles."""
    merger, parts, tops = Merger(rule), [], sorted({bounds[1] for bounds, _ in tiles})
    numbers = {bounds: number for number, (bounds, _) in enumerate(tiles)}
    for index, top in enumerate(tops):
        if index and index % asked == 0:
            parts.append(merger.final(lambda boxes, top=top: boxes[:, 3] <= top))  # type: ignore[misc]
        for bounds, found in tiles:
            if bounds[1] == top:
                merger.add(seen_by(numbers[bounds], bounds, found, rule))
    joined = Detections.joined([*parts, merger.final()])
    return joined.selected(ranking(joined))


@settings(max_examples=600, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), asked=st.integers(1, 3))
def test_bands_give_what_one_pass_in_plain_loops_gives(seed: int, asked: int) -> None:
    tiles, rule = crowded_tiles(seed)
    assert as_rows(in_bands(tiles, rule, asked)) == as_rows(plain_merge(tiles, rule))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_merging_does_not_depend_on_tile_order_and_is_idempotent(seed: int) -> None:
    tiles, rule = crowded_tiles(seed)
    backwards = in_bands(tiles[::-1], rule, 100)
    assert as_rows(in_bands(tiles, rule, 100)) == as_rows(backwards)
    assert nms(backwards, rule.threshold, rule.metric, rule.agnostic).tolist() == list(range(len(backwards)))


def test_a_merger_forgets_what_is_final() -> None:
    merger = Merger(rule := MergeRule(100, 10_000, 0.6))
    box = np.array([[10.0, 10.0, 20.0, 20.0]])
    for row in range(100):
        found = Detections(box + [0, row * 100, 0, row * 100], np.ones(1, np.float32), np.zeros(1, np.int64))
        merger.add(seen_by(row, (0, row * 100, 100, row * 100 + 120), found, rule))
        below = (row + 1) * 100
        assert len(merger.final(lambda boxes, below=below: boxes[:, 3] <= below)) == 1  # type: ignore[misc]
        assert len(merger.held.found) == 0


def passes_of(seed: int) -> tuple[Merging, dict[int, tuple[Box, Detections]]]:
    """A scene that one to three passes read, and what each of their tiles saw; some tiles saw nothing."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(10, 130, 2).tolist()
    centres, sides = rng.uniform(0, (width, height), (int(rng.integers(1, 16)), 2)), rng.uniform(2, 40, 2)
    overlap, passes, seen, first = int(rng.integers(0, 20)), [], {}, 0
    for scale in (1.0, 2.0, 0.5)[: int(rng.integers(1, 4))]:
        grid = plan_tiles(width, height, 32, overlap, (scale, scale))
        passes.append(MergedPass(grid, first, (0.0, np.inf)))
        for tile in grid:
            left, top, right, bottom = tile.bounds
            middle = centres + rng.normal(0, 1.0, centres.shape).round(int(rng.integers(0, 3)))
            boxes = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)
            limits = [min(right, width), min(bottom, height)]
            cut = np.clip(boxes, [left, top] * 2, limits * 2)
            there = (cut[:, 2:] > cut[:, :2]).all(axis=1) & (rng.random(len(cut)) < 0.9)
            scores = rng.choice([0.3, 0.5, 0.7, 0.9], len(cut)).astype(np.float32)
            found = Detections(cut, scores, rng.integers(0, 2, len(cut))).selected(there)
            seen[first + tile.index] = tile.bounds, found
        first += len(grid)
    rule = MergeRule(width, height, float(rng.choice([0.0, 0.2, 0.6])), agnostic=bool(rng.integers(2)))
    return Merging(rule, tuple(passes)), seen


def in_cells(merging: Merging, seen: dict[int, tuple[Box, Detections]]) -> tuple[Detections, int]:
    """The scene merged cell by cell, as `scene.merged` does it, and the number of objects that no seam concerned."""
    seams, parts, alone, row = Merger(merging.rule), [], 0, 0
    cells: dict[tuple[int, int], list[int]] = {}
    for number in seen:
        one = next(one for one in reversed(merging.passes) if number >= one.first)
        down, across = divmod(number - one.first, len(one.grid.col_starts))
        place = int(merging.cells_of(1, one)[down]), int(merging.cells_of(0, one)[across])
        cells.setdefault(place, []).append(number)
    for (down, across), numbers in sorted(cells.items()):
        outcomes = TileOutcomes.of([TileOutcome(number, seen[number][1]) for number in numbers])
        done = merged_cell(merging, Cell(down, across, outcomes))
        if done.row != row:
            row = done.row
            parts.append(seams.final(merging.above(row)))
        seams.add(done.open)
        parts.append(done.final)
        alone += len(done.final)
    joined = Detections.joined([*parts, seams.final()])
    return joined.selected(ranking(joined)), alone


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cell_side=st.integers(1, 4))
def test_cells_give_what_one_pass_in_plain_loops_gives(seed: int, cell_side: int) -> None:
    merging, seen = passes_of(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "CELL_SIDE", cell_side)
        found, _ = in_cells(merging, seen)
    assert as_rows(found) == as_rows(plain_merge(list(seen.values()), merging.rule))


def test_most_objects_are_final_in_their_cell() -> None:
    merging, seen = (
        Merging(MergeRule(2_000, 2_000, 0.6), (MergedPass(plan_tiles(2_000, 2_000, 32, 8), 0, (0, 1e9)),)),
        {},
    )
    rng = np.random.default_rng(0)
    for tile in merging.passes[0].grid:
        corners = rng.uniform(0, 28, (5, 2)) + tile.bounds[:2]
        boxes = np.concatenate([corners, corners + 4], axis=1)
        seen[tile.index] = tile.bounds, Detections(boxes, rng.random(5).astype(np.float32), np.zeros(5, np.int64))
    found, alone = in_cells(merging, seen)
    assert alone > 0.85 * len(found)


def test_a_box_that_another_pass_is_to_report_does_not_silence_that_pass() -> None:
    """The first pass saw a long object whole, which it leaves to the second, whose tiles cut it on either side."""
    rule = MergeRule(180, 100, 0.6)
    whole, parts = [[48.0, 10.0, 132.0, 30.0]], [[48.0, 10.0, 120.0, 30.0], [52.0, 10.0, 132.0, 30.0]]

    def box(values: list[list[float]], score: float) -> Detections:
        count = len(values)
        return Detections(np.array(values), np.full(count, score, np.float32), np.zeros(count, np.int64))

    def merged_with(first: tuple[float, float], second: tuple[float, float]) -> list[list[float]]:
        merger = Merger(rule)
        merger.add(Seen.of(box(whole, 0.5), np.array([0]), np.array([[0.0, 0, 180, 100]]), rule, first))
        tiles = np.array([[0.0, 0, 120, 100], [52.0, 0, 180, 100]])
        merger.add(Seen.of(box(parts, 0.9), np.array([1, 2]), tiles, rule, second))
        return merger.final().boxes_xyxy.tolist()

    (found,) = merged_with((0.0, 60.0), (60.0, np.inf))
    assert found in parts
    assert merged_with((0.0, np.inf), (60.0, np.inf)) == whole
    assert merged_with((0.0, 60.0), (0.0, 80.0)) == []  # too long for both
