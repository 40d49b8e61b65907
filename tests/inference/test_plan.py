"""Resolution, overlap and tiles of a scene, decided before it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from support.bright import bright_card
from support.scenes import UTM, noise, write_scene

from lcageo.config import DetectConfig, Passes
from lcageo.errors import UsageError
from lcageo.inference import plan as inference_plan
from lcageo.inference.plan import SERVED_PX, ScenePlan, choose_overlap, choose_scale, plan_scene
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import open_scene


@pytest.fixture
def info(tmp_path: Path) -> SceneInfo:
    with open_scene(write_scene(tmp_path / "scene.tif", noise(220, 340))) as scene:
        return scene.info  # 0.5 m


@pytest.mark.parametrize(
    ("model_range", "gsd", "scale", "words"),
    [
        ((0.3, 1.0), "auto", 1.0, None),
        ((1.3, 2.0), "auto", 2.6, "resampled to 1.3 m"),
        ((0.5, 0.5), "auto", 1.0, None),
        ((0.501, 2.0), "auto", 1.0, None),
        ((0.1, 0.2), "auto", 0.4, "resampled to 0.2 m"),
        ((0.01, 0.1), "auto", 1.0, "too small to be seen"),
        ((1.3, 2.0), "native", 1.0, None),
        ((0.3, 1.0), 0.7, 1.4, None),
        ((0.3, 1.0), 0.5, 1.0, None),
    ],
)
def test_resolution_is_chosen_by_the_exact_ratio(
    info: SceneInfo, model_range: tuple[float, float], gsd: float | str, scale: float, words: str | None
) -> None:
    card = replace(bright_card(), gsd_m=model_range)
    chosen, notes = choose_scale(info, card, gsd)
    assert chosen == pytest.approx((scale, scale), rel=1e-3)  # the UTM scale factor is 0.9996
    assert not notes if words is None else words in notes[0]


def test_a_resolution_outside_the_models_range_is_reported(info: SceneInfo) -> None:
    assert "--gsd 100 is outside the range of model 'bright'" in choose_scale(info, bright_card(), 100.0)[1][0]


def test_an_absurd_enlargement_is_refused(info: SceneInfo) -> None:
    with pytest.raises(UsageError, match=r"would enlarge .* 5,0.. times; give at least 0\.125"):
        choose_scale(info, bright_card(), 0.0001)


def test_a_scene_of_unknown_resolution_is_not_resampled(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(20, 20), None, None)) as scene:
        assert choose_scale(scene.info, bright_card(), "native") == ((1.0, 1.0), [])
        scale, notes = choose_scale(scene.info, bright_card(), 0.5)
    assert scale == (1.0, 1.0) and "is ignored" in notes[0]


def test_overlap_is_the_largest_object_else_a_quarter() -> None:
    assert choose_overlap(bright_card(256), None) == 64
    assert choose_overlap(bright_card(256, largest_object_px=100), None) == 100
    assert choose_overlap(bright_card(256, largest_object_px=1000), None) == 192
    assert choose_overlap(bright_card(256, largest_object_px=100), "10%") == 26


def test_the_wanted_tiles_are_those_that_meet_the_area(tmp_path: Path) -> None:
    left, top, right, bottom = 70, 10, 100, 60  # scene pixels
    bbox = (UTM.c + left / 2, UTM.f - bottom / 2, UTM.c + right / 2, UTM.f - top / 2)
    with open_scene(write_scene(tmp_path / "a.tif", noise(200, 300))) as scene:
        plan = plan_scene(scene, bright_card(64), DetectConfig(overlap="0", bbox=bbox))
        everything = plan_scene(scene, bright_card(64), DetectConfig(overlap="0"))
    expected = [
        tile.bounds[0] < right and tile.bounds[2] > left and tile.bounds[1] < bottom and tile.bounds[3] > top
        for tile in plan.grid
    ]
    assert (
        plan.wanted.tolist() == expected and [tile.index for tile in plan.tiles()] == np.flatnonzero(expected).tolist()
    )
    assert everything.wanted.all() and len(everything.grid) == 20


def test_tiles_that_are_only_run_where_needed_are_not_counted_as_outside(tmp_path: Path) -> None:
    bbox = (UTM.c, UTM.f - 55.0, UTM.c + 85.0, UTM.f)  # the left half
    config = DetectConfig(passes=Passes.AUTO, bbox=bbox)
    card = replace(bright_card(64, largest_object_px=16), lengths_px=(8.0, 40.0))
    with open_scene(write_scene(tmp_path / "a.tif", noise(220, 340))) as scene:
        plan = plan_scene(scene, card, config)
    assert [one.near_small for one in plan.passes] == [False, False, True]
    assert plan.outside_tiles == sum(int((~one.wanted).sum()) for one in plan.passes[:2]) > 0


def test_a_tile_pixel_is_as_large_on_the_ground_as_requested(tmp_path: Path) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(90, 90))) as scene:
        assert plan_scene(scene, bright_card(64), DetectConfig(gsd=0.8)).tile_pixel_m == pytest.approx(
            (0.8, 0.8), rel=1e-3
        )
    with open_scene(write_scene(tmp_path / "b.tif", noise(90, 90), None, None)) as scene:
        assert plan_scene(scene, bright_card(64), DetectConfig()).tile_pixel_m is None


def planned(path: Path, passes: str, tile: int = 64, **card: object) -> ScenePlan:
    model = replace(bright_card(tile, largest_object_px=16), lengths_px=(8.0, 40.0))
    with open_scene(path) as scene:
        return plan_scene(scene, replace(model, **card), DetectConfig(passes=Passes(passes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("passes", "scales"), [("1", [1]), ("2", [1, 2]), ("3", [1, 2, 0.5]), ("auto", [1, 2, 0.5])])
def test_passes_cover_the_scene_at_other_resolutions(tmp_path: Path, passes: str, scales: list[float]) -> None:
    plan = planned(write_scene(tmp_path / "a.tif", noise(220, 340)), passes)
    assert [one.grid.scale for one in plan.passes] == [(scale, scale) for scale in scales]
    counts = [len(one.grid) for one in plan.passes]
    assert [one.first for one in plan.passes] == [sum(counts[:index]) for index in range(len(counts))]
    assert plan.all_tiles == plan.wanted_tiles == sum(counts) and plan.outside_tiles == 0
    assert [one.near_small for one in plan.passes[2:]] == [passes == "auto"] * (len(scales) == 3)
    for one in plan.passes:
        bounds = one.grid.bounds()
        assert bounds[:, :2].min() == 0 and bounds[:, 2].max() >= 340 and bounds[:, 3].max() >= 220
        assert plan.tile(one.first).scale == one.grid.scale and plan.tile(one.first).index == one.first


def test_every_length_is_reported_by_a_pass_and_those_between_by_two(tmp_path: Path) -> None:
    own, coarse, fine = planned(write_scene(tmp_path / "a.tif", noise(220, 340)), "3").passes
    assert own.lengths_px == (8, 40) and coarse.lengths_px == (20, np.inf)
    assert fine.lengths_px == (0, pytest.approx(8 * 4 / 3))


def test_tiles_of_the_third_pass_share_twice_its_largest_object(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(220, 340))
    own, coarse, fine = planned(path, "3", largest_object_px=40, lengths_px=(2.0, 100.0)).passes
    assert [one.grid.col_starts[1] for one in (own, coarse)] == [64 - 40] * 2
    assert fine.lengths_px[1] * 2 == pytest.approx(16 / 3)  # pixels of its tiles, so six
    assert fine.grid.col_starts[1] == fine.grid.row_starts[1] == 64 - 2 * 6
    few = planned(path, "3", largest_object_px=8, lengths_px=(2.0, 100.0)).passes[2]
    assert few.grid.col_starts[1] == 64 - 8, "no more than the other passes"
    unknown = planned(path, "3", largest_object_px=None, lengths_px=(2.0, 100.0)).passes
    assert [one.grid.col_starts[1] for one in unknown] == [48, 48, 52]


def test_passes_start_from_the_resolution_that_is_chosen(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(220, 340))  # 0.5 m
    own, coarse = planned(path, "2", gsd_m=(1.0, 2.0)).passes
    assert own.grid.scale == pytest.approx((2, 2), rel=1e-3) and own.lengths_px[1] == 40
    assert coarse.grid.scale == pytest.approx((4, 4), rel=1e-3)


def test_auto_makes_one_pass_with_models_that_do_not_say_what_it_serves(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(220, 340))
    assert len(planned(path, "auto", lengths_px=None).passes) == 1
    assert planned(path, "2", lengths_px=None).passes[1].lengths_px[0] == SERVED_PX[1] / 2


def test_a_scene_of_one_tile_has_no_second_pass(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(60, 50))
    assert len(planned(path, "2").passes) == 1 and len(planned(path, "3").passes) == 2


def test_larger_tiles_are_chosen_where_they_save_enough_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scene(tmp_path / "a.tif", noise(220, 340))
    assert planned(path, "1", larger_tile_size=128).reader.tile_size == 64, "a graph is not compiled for a few pixels"
    monkeypatch.setattr(inference_plan, "WORTH_PX", 1)
    own, coarse, fine = planned(path, "3", larger_tile_size=128).passes
    assert [len(planned(path, "1", tile).grid) * tile**2 for tile in (64, 128)] == [7 * 5 * 64**2, 3 * 2 * 128**2]
    assert own.reader.tile_size == own.grid.tile_width == 128 and len(own.grid) == 3 * 2
    assert coarse.reader.tile_size == 64 and len(coarse.grid) == 4 * 2  # 2 x 1 of 128 are no fewer pixels
    assert fine.reader.tile_size == 128 and not fine.near_small
    assert planned(path, "auto", larger_tile_size=128).passes[2].reader.tile_size == 64  # only around small objects
    assert planned(path, "1", larger_tile_size=None).reader.tile_size == 64


def test_larger_tiles_are_judged_by_those_in_the_area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_plan, "WORTH_PX", 1)
    bbox = (UTM.c, UTM.f - 30, UTM.c + 30, UTM.f)  # 60 x 60 pixels: in the first tile of either size
    card = replace(bright_card(64, largest_object_px=16), larger_tile_size=128)
    with open_scene(write_scene(tmp_path / "a.tif", noise(220, 340))) as scene:
        assert plan_scene(scene, card, DetectConfig(bbox=bbox)).reader.tile_size == 64
        assert plan_scene(scene, card, DetectConfig()).reader.tile_size == 128


@pytest.mark.parametrize(("across", "down"), [(1, 2), (2, 1), (1, 3)])
def test_small_objects_are_looked_for_where_pixels_are_oblong(tmp_path: Path, across: int, down: int) -> None:
    # Rows of twice the height are enlarged fourfold by the finest pass, columns twofold: no less detail than a pass
    # has over square pixels that are enlarged nearly threefold. UTM's scale of 0.9996 makes the ratio inexact.
    oblong = UTM @ rasterio.Affine.rotation(0.02) @ rasterio.Affine.scale(across, down)
    plan = planned(write_scene(tmp_path / "a.tif", noise(220 // down, 340 // across), transform=oblong), "3")
    finest = plan.passes[2].grid.scale
    assert finest == pytest.approx((0.5 / across, 0.5 / down), rel=1e-2)


def test_passes_and_merging_over_classes_exclude_each_other(tmp_path: Path) -> None:
    card = replace(bright_card(64), lengths_px=(8.0, 40.0))
    with open_scene(write_scene(tmp_path / "a.tif", noise(220, 340))) as scene:
        with pytest.raises(UsageError, match="--passes 2 cannot be combined with --agnostic"):
            plan_scene(scene, card, DetectConfig(agnostic=True, passes=Passes.TWO))
        assert len(plan_scene(scene, card, DetectConfig(agnostic=True)).passes) == 1


@pytest.mark.parametrize(
    ("sides", "gsd", "square"),
    [
        ((0.4, 0.8), "auto", 0.4),
        ((0.8, 0.4), "native", 0.4),
        ((0.4, 0.8), 0.5, 0.5),
        ((0.1, 0.4), "auto", 0.3),
        ((0.5, 5.0), "auto", 1.0),  # enlarged five times, not ten: at most MAX_ENLARGEMENT, then the model's range
        ((0.4, 0.41), "auto", None),
    ],
)
def test_tiles_are_square_on_the_ground(
    tmp_path: Path, sides: tuple[float, float], gsd: float | str, square: float | None
) -> None:
    transform = rasterio.Affine(sides[0], 0, UTM.c, 0, -sides[1], UTM.f)
    card = replace(bright_card(64), gsd_m=(0.3, 1.0))
    with open_scene(write_scene(tmp_path / "a.tif", noise(90, 90), transform=transform)) as scene:
        plan = plan_scene(scene, card, DetectConfig(gsd=gsd))
    assert plan.tile_pixel_m is not None
    if square is None:
        assert plan.grid.scale == (1.0, 1.0) and not plan.warnings
    else:
        assert plan.tile_pixel_m == pytest.approx((square, square), rel=1e-3)
        assert f"has pixels of {sides[0]:g} x {sides[1]:g} m on the ground: read as squares of" in plan.warnings[0]
