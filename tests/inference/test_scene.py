"""The main path with a real predictor that needs no network: it finds bright squares."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.bright import BrightSquares, bright_card, find_squares
from support.scenes import UTM, damaged_scene, noise, squares, write_scene

from lcageo.calibration import Calibration, expected
from lcageo.config import DetectConfig, EdgeNodata, Passes
from lcageo.detections import Detections
from lcageo.errors import DeviceMemoryError, SceneError, UsageError
from lcageo.inference.scene import Progress, SceneResult, detect_scene
from lcageo.scene import prefetch
from lcageo.scene.look import appearance_of, look
from lcageo.scene.raster import open_scene

LARGEST = 24
PLACES = [
    (5, 5, 20, 210),
    (60, 5, 24, 240),
    (200, 100, 8, 250),
    (301, 37, 17, 205),
    (90, 150, 24, 220),
    (280, 180, 20, 235),
]


def run(path: Path, tile_size: int = 64, batch: int = 4, largest_batch: int = 1000, **config: object) -> SceneResult:
    predictor = BrightSquares(bright_card(tile_size), largest_batch)
    with open_scene(path) as scene:
        return detect_scene(scene, predictor, DetectConfig(**config), batch, warn=lambda line: None)  # type: ignore[arg-type]


def rows(found: Detections) -> list[list[float]]:
    return sorted(
        [*box, float(score), int(label)]
        for box, score, label in zip(found.boxes_xyxy.tolist(), found.scores, found.labels, strict=True)
    )


@pytest.fixture
def scene_path(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "squares.tif", squares(220, 340, PLACES))


def scattered(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Squares of up to LARGEST pixels that do not touch: one in each cell of a lattice, at random, or none."""
    rng = np.random.default_rng(seed)
    places = []
    cell = LARGEST + 3
    for top in range(0, height - cell, cell):
        for left in range(0, width - cell, cell):
            if rng.random() < 0.6:
                side = int(rng.integers(3, LARGEST + 1))
                x, y = left + int(rng.integers(1, cell - side)), top + int(rng.integers(1, cell - side))
                places.append((x, y, side, int(rng.integers(200, 256))))
    return squares(height, width, places)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    tile_size=st.sampled_from([64, 96, 128, 160, 256, 512]),
    overlap=st.integers(LARGEST, 48),
)
def test_a_scene_in_tiles_gives_what_the_scene_in_one_piece_gives(
    tmp_path: Path, seed: int, tile_size: int, overlap: int
) -> None:
    pixels = scattered(seed, 260, 330)
    path = write_scene(tmp_path / f"{seed}.tif", pixels)
    assert rows(run(path, tile_size, overlap=str(overlap)).detections) == rows(find_squares(pixels))


def test_the_batch_size_does_not_matter(scene_path: Path) -> None:
    results = [run(scene_path, overlap="40", batch=batch).detections for batch in (1, 3, 100)]
    assert rows(results[0]) == rows(results[1]) == rows(results[2])
    assert len(results[0]) == len(PLACES)


def test_a_device_that_cannot_hold_one_tile_is_an_error(scene_path: Path) -> None:
    with pytest.raises(DeviceMemoryError, match="batch of 1 tiles"):
        run(scene_path, largest_batch=0)


def test_progress_reaches_the_number_of_tiles(scene_path: Path) -> None:
    seen: list[Progress] = []
    with open_scene(scene_path) as scene:
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), 4, lambda line: None, seen.append)
    total = seen[-1].total
    assert [at.done for at in seen] == [*range(0, total, 4), total]


def test_a_scene_without_objects_gives_none(tmp_path: Path) -> None:
    assert len(run(write_scene(tmp_path / "a.tif", noise(100, 100))).detections) == 0


def test_a_scene_of_one_pixel_runs(tmp_path: Path) -> None:
    assert len(run(write_scene(tmp_path / "a.tif", np.full((3, 1, 1), 220, np.uint8))).detections) == 1


def test_tiles_without_data_are_skipped_and_counted(tmp_path: Path) -> None:
    pixels = squares(200, 400, [(10, 10, 20, 240)])
    pixels[:, :, 150:] = 0
    result = run(write_scene(tmp_path / "a.tif", pixels, nodata=0), overlap="0")
    tiles = result.summary.tiles.as_json()
    assert tiles == {"planned": 28, "outside_area_of_interest": 0, "without_data": 16, "unreadable": 0, "run": 12}
    assert len(result.detections) == 1


def test_an_untagged_black_edge_is_skipped_only_if_asked(tmp_path: Path) -> None:
    pixels = noise(200, 400)
    pixels[:, :, 150:] = 0
    path = write_scene(tmp_path / "a.tif", pixels)
    auto, none = (
        run(path, overlap="0").summary.record.as_json(),
        run(path, overlap="0", edge_nodata="none").summary.record.as_json(),
    )
    assert auto["tiles"]["without_data"] == 16 and auto["edge_nodata"] == "0"
    assert none["tiles"]["without_data"] == 0 and none["edge_nodata"] is None


@pytest.mark.parametrize(("dtype", "value"), [("float32", -9999), ("uint16", 65535)])
def test_an_edge_of_any_value_costs_no_object_and_is_told(tmp_path: Path, dtype: str, value: int) -> None:
    pixels = squares(200, 400, [(x, 80, 20, 240) for x in range(20, 260, 40)]).astype(dtype)
    pixels[:, :, 290:] = value
    found, said = [], list[str]()
    for name, tags in (("untagged", {}), ("tagged", {"nodata": value})):
        with open_scene(write_scene(tmp_path / f"{name}.tif", pixels, photometric="rgb", **tags)) as scene:
            found.append(detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), 2, said.append))
    untagged, tagged = found
    assert len(tagged.detections) == 6
    assert np.allclose(untagged.detections.boxes_xyxy, tagged.detections.boxes_xyxy)
    assert untagged.summary.record.edge_nodata == str(value) and tagged.summary.record.edge_nodata is None
    assert len([line for line in said if f"untagged.tif' has an edge of value {value}" in line]) == len(said) == 1


def test_only_objects_with_their_centre_in_the_area_are_kept_and_only_its_tiles_run(scene_path: Path) -> None:
    # Scene columns 0 to 100 and rows 0 to 100; the square at (60, 5) has its centre at column 72.
    bbox = (UTM.c, UTM.f - 50.0, UTM.c + 50.0, UTM.f)
    result = run(scene_path, bbox=bbox)
    assert sorted(result.detections.boxes_xyxy[:, 0].tolist()) == [5, 60]
    tiles = result.summary.tiles.as_json()
    assert (
        tiles["outside_area_of_interest"] > 0 and tiles["run"] + tiles["outside_area_of_interest"] == tiles["planned"]
    )
    assert rows(run(scene_path, bbox=(UTM.c, UTM.f - 50.0, UTM.c + 35.9, UTM.f)).detections)[-1][0] == 5


def test_16_bit_scenes_are_stretched_alike_everywhere(tmp_path: Path) -> None:
    eight = squares(220, 340, PLACES)
    sixteen = write_scene(tmp_path / "a.tif", eight.astype(np.uint16) * 100)
    found = run(sixteen, overlap="40", stretch="0,25500").detections
    assert rows(found) == rows(find_squares(eight))


def test_resampling_puts_boxes_back_where_they_were(tmp_path: Path) -> None:
    places = [(20, 20, 24, 250), (100, 60, 16, 250), (203, 150, 20, 250)]
    path = write_scene(tmp_path / "a.tif", squares(220, 340, places))
    for gsd in (0.3, 0.77, 1.0):
        found = run(path, overlap="44", gsd=gsd).detections
        assert len(found) == 3
        for row, (x, y, side, _) in zip(rows(found), places, strict=True):
            # Thresholding a resampled edge is good to one pixel of the resampled image.
            assert row[:4] == pytest.approx([x, y, x + side, y + side], abs=max(1.0, gsd / 0.5))


def test_the_record_holds_the_model_and_the_parameters(scene_path: Path) -> None:
    record = run(scene_path, score=0.5, classes=("white square",)).summary.record.as_json()
    assert record["model"] == "bright" and record["model_sha256"] == "0" * 64
    assert record["parameters"]["score"] == 0.5 and record["parameters"]["classes"] == ["white square"]
    assert record["scene_pixels_per_tile_pixel"] == 1.0 and record["bands"] == [1, 2, 3]


def test_the_number_of_right_objects_is_that_of_their_calibrated_scores(scene_path: Path) -> None:
    calibration = Calibration(2.0, 0.5, -0.5, 0.3)
    card = replace(bright_card(64), calibration={"white square": calibration})
    with open_scene(scene_path) as scene:
        result = detect_scene(scene, BrightSquares(card), DetectConfig(score=0.5), warn=lambda line: None)
    white = result.detections.scores[result.detections.labels == card.classes.index("white square")]
    scores = np.round(white.astype(np.float64), 4)
    assert len(scores) and result.summary.expected == {"white square": expected(calibration, Counter(scores.tolist()))}
    assert result.summary.record.calibration == {"white square": calibration}


def test_nothing_is_promised_for_a_scene_unlike_the_training_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seen = []
    for seed in range(200):
        image = noise(64, 64, seed=seed) // 2 + int(rng.integers(40))
        image[:, 20:30, 20:30] = rng.choice([50, 255])
        seen.append(look(image, (0, 0, 0)))
    card = replace(
        bright_card(64),
        calibration={name: Calibration(1.0, 1.0, 0.0, 0.0) for name in bright_card(64).classes},
        appearance=appearance_of(np.stack(seen)),
    )
    alike = noise(128, 128, seed=7) // 2 + 20
    grey = np.repeat(alike[:1], 3, axis=0)
    summaries = []
    for name, pixels in (("alike", alike), ("grey", grey)):
        pixels[:, 20:30, 20:30] = 255
        with open_scene(write_scene(tmp_path / f"{name}.tif", pixels)) as scene:
            result = detect_scene(scene, BrightSquares(card), DetectConfig(score=0.5), warn=lambda line: None)
        summaries.append(result.summary)
    familiar, other = summaries
    assert familiar.objects and familiar.expected and not familiar.record.is_unfamiliar
    assert other.record.is_unfamiliar and other.expected == {}


def test_a_scene_without_any_data_is_reported(tmp_path: Path) -> None:
    warnings: list[str] = []
    with open_scene(write_scene(tmp_path / "a.tif", np.zeros((3, 90, 90), np.uint8), nodata=0)) as scene:
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), 2, warnings.append)
    assert warnings == [f"scene '{tmp_path / 'a.tif'}' has no pixel with data, so it was not searched"]


def test_a_scene_is_sampled_only_if_something_depends_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scene(tmp_path / "a.tif", noise(100, 100))
    monkeypatch.setattr("lcageo.scene.stretch.sample_scene", lambda scene: pytest.fail("it was sampled"))
    run(path, edge_nodata="none")
    run(write_scene(tmp_path / "b.tif", noise(100, 100).astype(np.uint16)), stretch="0,200", edge_nodata="none")


def test_boxes_that_reach_into_padding_are_cut_before_they_are_compared(tmp_path: Path) -> None:
    class Twice(BrightSquares):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            boxes = np.array([[80, 80, 100, 200], [80, 80, 100, 110]], np.float32)
            return [Detections(boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)) for _ in images]

    with open_scene(write_scene(tmp_path / "a.tif", noise(100, 100))) as scene:
        found = detect_scene(scene, Twice(bright_card(256)), DetectConfig()).detections
    assert found.boxes_xyxy.tolist() == [[80, 80, 100, 100]]


def test_an_area_off_the_scene_is_refused(scene_path: Path) -> None:
    with pytest.raises(UsageError, match="does not overlap scene"):
        run(scene_path, bbox=(0.0, 0.0, 1.0, 1.0))


def test_objects_too_large_for_their_class_are_left_out_and_counted(scene_path: Path) -> None:
    card = replace(bright_card(64), size_m={"white square": (0.0, 10.5)})
    with open_scene(scene_path) as scene:
        gsd_m = scene.info.gsd_m
        config = DetectConfig(overlap=str(LARGEST))
        result = detect_scene(scene, BrightSquares(card), config, warn=lambda line: None)
    assert gsd_m is not None
    wanted = [side for _, _, side, grey in PLACES if grey < 230 or side * gsd_m <= 10.5]
    sides = result.detections.boxes_xyxy[:, 2] - result.detections.boxes_xyxy[:, 0]
    assert 0 < len(wanted) < len(PLACES) and sorted(sides.tolist()) == sorted(wanted)
    assert result.summary.record.boxes_of_impossible_size > 0


def test_a_scene_of_which_nothing_can_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    with (
        open_scene(damaged_scene(tmp_path / "a.tif", list(range(64)))) as scene,
        pytest.raises(SceneError, match="damaged"),
    ):
        detect_scene(scene, BrightSquares(bright_card(64)), DetectConfig(), warn=lambda line: None)


def many_lengths(seed: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Squares of 4 to 150 pixels that do not touch."""
    rng = np.random.default_rng(seed)
    places: list[tuple[int, int, int, int]] = []
    for side in sorted(np.exp(rng.uniform(np.log(4), np.log(150), 60)).astype(int).tolist(), reverse=True):
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        if all(x > a + s + 4 or a > x + side + 4 or y > b + s + 4 or b > y + side + 4 for a, b, s, _ in places):
            places.append((x, y, side, int(rng.integers(235, 256))))
    return places


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), passes=st.sampled_from([Passes.TWO, Passes.THREE]))
def test_passes_together_report_every_object_once_whatever_its_length(
    tmp_path: Path, seed: int, passes: Passes
) -> None:
    """One pass cuts what is longer than its overlap; the second one, at half the resolution, sees it whole."""
    places = many_lengths(seed, 400, 500)
    path = write_scene(tmp_path / f"{seed}.tif", squares(400, 500, places))
    predictor = BrightSquares(replace(bright_card(128, largest_object_px=90), lengths_px=(10.0, 80.0)))
    config = DetectConfig(passes=passes, score=0.5, edge_nodata=EdgeNodata.NONE)
    with open_scene(path) as scene:
        found = detect_scene(scene, predictor, config, warn=lambda line: None)
    boxes = found.detections.boxes_xyxy
    # A corner that reaches into an enlarged tile by one pixel is found as half a pixel.
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).max(axis=1) >= 2]
    assert found.summary.tiles.planned == found.summary.tiles.run
    for x, y, side, _ in places:
        error = np.abs(boxes - [x, y, x + side, y + side]).max(axis=1, initial=0)
        assert (error <= 3).sum() == 1, f"{(x, y, side)} among {boxes.tolist()}"
    assert len(boxes) == len(places)


def test_one_pass_does_not_find_what_is_longer_than_a_tile(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", squares(400, 500, [(100, 100, 150, 250)]))
    predictor = BrightSquares(replace(bright_card(128, largest_object_px=32), lengths_px=(10.0, 80.0)))
    with open_scene(path) as scene:
        one, two = (
            detect_scene(scene, predictor, DetectConfig(passes=passes), warn=lambda line: None).detections
            for passes in (Passes.ONE, Passes.AUTO)
        )
    assert [100, 100, 250, 250] not in one.boxes_xyxy.tolist()
    assert two.boxes_xyxy.round().tolist() == [[100, 100, 250, 250]]


def test_the_finest_pass_looks_around_small_objects_only(tmp_path: Path) -> None:
    """One object of 8 pixels in the upper left corner, one of 60 in the lower right: 16 of 140 fine tiles at most."""
    path = write_scene(tmp_path / "a.tif", squares(400, 500, [(20, 20, 8, 250), (400, 300, 60, 250)]))
    card = replace(bright_card(64, largest_object_px=16), lengths_px=(8.0, 40.0))
    results = {}
    for passes in Passes:
        predictor = BrightSquares(card)
        with open_scene(path) as scene:
            results[passes] = detect_scene(scene, predictor, DetectConfig(passes=passes), warn=lambda line: None)
    tiles = {passes: result.summary.tiles.run for passes, result in results.items()}
    assert tiles[Passes.TWO] < tiles[Passes.AUTO] <= tiles[Passes.TWO] + 4 < tiles[Passes.THREE]
    assert rows(results[Passes.AUTO].detections) == rows(results[Passes.THREE].detections)
    assert results[Passes.AUTO].summary.tiles.planned == tiles[Passes.AUTO], "tiles that were not needed do not count"


@pytest.mark.parametrize(("across", "down"), [(1, 2), (2, 1), (1, 6)], ids=["tall", "wide", "very tall"])
def test_the_model_sees_square_ground_whatever_the_pixels(tmp_path: Path, across: int, down: int) -> None:
    """The same ground, once in square pixels of half a metre, once with every nth column or row only."""
    ground = squares(360, 480, [(12 + 72 * x, 12 + 72 * y, 24, 240) for x in range(6) for y in range(5)])
    square = write_scene(tmp_path / "square.tif", ground)
    oblong = write_scene(
        tmp_path / "oblong.tif", ground[:, ::down, ::across], transform=UTM @ rasterio.Affine.scale(across, down)
    )
    shapes: list[NDArray[np.float32]] = []

    class Watching(BrightSquares):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            found = super().predict(images)
            shapes.extend(one.boxes_xyxy[:, 2:] - one.boxes_xyxy[:, :2] for one in found)
            return found

    on_map = []
    for path in (square, oblong):
        with open_scene(path) as scene:
            result = detect_scene(scene, Watching(bright_card(128)), DetectConfig(overlap="32"), 2, lambda line: None)
            xs, ys = scene.info.georeference.to_map(*result.detections.boxes_xyxy.reshape(-1, 2).T)
            corners = np.stack([xs, ys], axis=-1).reshape(-1, 4)
            on_map.append(corners[np.lexsort(np.rint(corners[:, :2] / 36).T)])
    assert on_map[0].shape == on_map[1].shape == (30, 4)
    assert np.abs(on_map[0] - on_map[1]).max() <= 0.5 * max(across, down)  # a pixel
    sides = np.concatenate(shapes)
    whole = sides[(sides.max(axis=1) > 10)]
    assert np.median(whole[:, 0] / whole[:, 1]) == pytest.approx(1, abs=0.15)
