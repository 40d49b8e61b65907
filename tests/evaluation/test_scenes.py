"""Evaluation through tiles: no loss where objects fit the overlap, and a visible loss where they do not."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.bright import CLASSES, BrightSquares, bright_card
from support.bright_sets import bright_image, bright_set, scattered
from support.scenes import damaged_scene, write_scene

from lcageo.config import SCENE_SIDE_PX, DetectConfig
from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.data.pixels import with_stretch
from lcageo.errors import ConfigError, DataError, SceneError
from lcageo.evaluation.images import evaluate_set, find_objects
from lcageo.evaluation.scenes import Tiling

LARGEST = 24


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    tile=st.sampled_from([64, 96, 128, 256, 320]),
    size=st.sampled_from([(256, 256), (256, 180), (140, 256)]),
)
def test_tiles_give_the_figures_of_whole_images(tmp_path: Path, seed: int, tile: int, size: tuple[int, int]) -> None:
    places = scattered(seed, *size, LARGEST)
    image = bright_image(tmp_path / f"{seed}.png", *size, places)
    predictor = BrightSquares(bright_card(256, largest_object_px=LARGEST + 2))
    whole = evaluate_set(predictor, bright_set(image))
    in_tiles = evaluate_set(predictor, bright_set(image), tiling=Tiling(tile))
    assert whole.as_json() == in_tiles.as_json()
    assert len(image) == 0 or whole.map50 == 1


@pytest.mark.parametrize("side", [600, 1200])
def test_tiles_see_an_image_at_its_own_resolution(tmp_path: Path, side: int) -> None:
    """Objects of 4 pixels vanish in an image that is reduced to the tile, however large it is."""
    image = bright_image(tmp_path / "a.png", side, side, [(side // 2, side // 2, 4, 250), (40, 50, 4, 240)])
    predictor = BrightSquares(bright_card(128))
    assert evaluate_set(predictor, bright_set(image), tiling=Tiling()).map50_95 == 1
    assert evaluate_set(predictor, bright_set(image)).map50 < 1


def test_an_enlarged_image_is_seen_in_more_and_larger_pixels(tmp_path: Path) -> None:
    image = bright_image(tmp_path / "a.png", 200, 200, [(40, 50, 16, 250), (120, 130, 20, 240)])
    predictor = BrightSquares(bright_card(128))
    seen: list[tuple[int, ...]] = []
    predict = predictor.predict
    predictor.predict = lambda images: seen.append(images.shape) or predict(images)  # type: ignore[method-assign]
    (found,) = find_objects(predictor, bright_set(image), tiling=Tiling(enlargement=2))
    tiles = sum(shape[0] for shape in seen)
    assert tiles == 16, "400 pixels in four tiles of 128 along each side"
    assert sorted(found.boxes_xyxy.round().tolist()) == [[40, 50, 56, 66], [120, 130, 140, 150]]


def test_a_photograph_is_turned_upright_before_it_is_cut(tmp_path: Path) -> None:
    """GDAL gives the stored pixels; the boxes refer to the upright ones."""
    image = bright_image(tmp_path / "a.png", 300, 200, [(40, 50, 16, 250), (220, 130, 20, 240)])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    with Image.open(image.image) as upright:
        upright.transpose(Image.Transpose.ROTATE_90).save(image.image, exif=exif)
    (found,) = find_objects(BrightSquares(bright_card(128)), bright_set(image), tiling=Tiling())
    assert sorted(found.boxes_xyxy.round().tolist()) == [[40, 50, 56, 66], [220, 130, 240, 150]]


def test_tiles_of_16_bits_have_the_stretch_of_their_set(tmp_path: Path) -> None:
    """On its own, the darker image would be as bright as the other, and its squares would be found."""
    images = []
    for name, factor in (("dark", 20), ("bright", 200)):
        plain = bright_image(tmp_path / f"{name}.png", 200, 200, [(40, 50, 16, 250)])
        with Image.open(plain.image) as opened:
            deep = np.moveaxis(np.asarray(opened), -1, 0).astype(np.uint16) * factor
        images.append(replace(plain, image=write_scene(tmp_path / f"{name}.tif", deep)))
    found = find_objects(BrightSquares(bright_card(128)), bright_set(*with_stretch(images)), tiling=Tiling())
    alone = find_objects(BrightSquares(bright_card(128)), bright_set(*images), tiling=Tiling())
    assert [len(one) > 0 for one in found] == [False, True] and all(len(one) > 0 for one in alone)


@pytest.mark.parametrize("enlargement", [0.2, 5.0])
def test_an_enlargement_without_detail_is_refused(enlargement: float) -> None:
    with pytest.raises(ConfigError, match=r"outside 0\.25 to 4"):
        Tiling(enlargement=enlargement)


@pytest.fixture
def dense(tmp_path: Path) -> LabelledSet:
    return bright_set(bright_image(tmp_path / "a.png", 256, 256, scattered(1, 256, 256, LARGEST, share=1.0)))


def test_what_is_lost_at_seams_shows(dense: LabelledSet) -> None:
    predictor = BrightSquares(bright_card(256))
    whole = evaluate_set(predictor, dense)
    cut = evaluate_set(predictor, dense, config=DetectConfig(overlap="0", max_per_tile=100), tiling=Tiling(64))
    assert whole.map50 == 1 and cut.map50 < 0.9


def test_the_best_of_an_image_are_kept_of_all_its_tiles(dense: LabelledSet) -> None:
    predictor = BrightSquares(bright_card(256, largest_object_px=LARGEST + 2))
    (few,) = find_objects(predictor, dense, config=DetectConfig(max_per_tile=5), tiling=Tiling(64))
    assert len(few) == 5
    assert few.scores.tolist() == np.sort(find_objects(predictor, dense)[0].scores)[::-1][:5].tolist()


def test_scenes_are_seen_at_their_own_resolution_and_hold_more_objects(tmp_path: Path) -> None:
    side = SCENE_SIDE_PX + 40
    places = scattered(3, side, 200, LARGEST)
    tiny = [(x, y, 4, brightness) for x, y, _, brightness in places]  # would vanish in an image reduced to 256 pixels
    scene, image = bright_image(tmp_path / "s.png", side, 200, tiny), bright_image(tmp_path / "i.png", 256, 256, [])
    assert len(scene) > 100
    done: list[int] = []
    evaluation = evaluate_set(BrightSquares(bright_card(256)), bright_set(scene, image), on_progress=done.append)
    assert evaluation.map50_95 == evaluation.ar == 1 and evaluation.images == 2
    assert sum(done) == 2


def test_scenes_of_16_bits_have_the_stretch_of_their_set(tmp_path: Path) -> None:
    images = []
    for name, factor in (("dark", 20), ("bright", 200)):
        plain = bright_image(tmp_path / f"{name}.png", SCENE_SIDE_PX + 40, 200, [(40, 50, 16, 250)])
        with Image.open(plain.image) as opened:
            deep = np.moveaxis(np.asarray(opened), -1, 0).astype(np.uint16) * factor
        images.append(replace(plain, image=write_scene(tmp_path / f"{name}.tif", deep)))
    found = find_objects(BrightSquares(bright_card(128)), bright_set(*with_stretch(images)))
    assert [len(one) > 0 for one in found] == [False, True]


def test_images_of_the_largest_size_below_a_scene_are_seen_whole(tmp_path: Path) -> None:
    image = bright_image(tmp_path / "i.png", SCENE_SIDE_PX, 100, [(100, 50, 4, 250)])
    assert len(find_objects(BrightSquares(bright_card(256)), bright_set(image))[0]) == 0


def test_images_without_georeference_cause_no_warning(dense: LabelledSet) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        messages: list[str] = []
        evaluate_set(BrightSquares(bright_card(256)), dense, tiling=Tiling(128), warn=messages.append)
    assert messages == []


def test_an_image_that_cannot_be_read_is_an_error_or_left_out(dense: LabelledSet) -> None:
    (annotation,) = dense.annotations
    annotation.image.write_text("no image")
    predictor = BrightSquares(bright_card(256))
    with pytest.raises(SceneError, match="not a raster"):
        evaluate_set(predictor, dense, tiling=Tiling(64))
    messages: list[str] = []
    done: list[int] = []
    assert evaluate_set(predictor, dense, tiling=Tiling(64), warn=messages.append, on_progress=done.append).images == 0
    assert "a.png" in messages[0] and messages[0].endswith("image left out") and done == [1]


def test_an_image_of_another_size_than_its_record_says_is_refused(dense: LabelledSet) -> None:
    bright_image(dense.annotations[0].image, 100, 90, [])
    with pytest.raises(DataError, match="has 100 x 90 pixels, but its record says 256 x 256"):
        evaluate_set(BrightSquares(bright_card(256)), dense, tiling=Tiling(64))


@pytest.mark.parametrize("tile", [32, 100, 8192])
def test_a_tile_that_no_network_takes_is_refused(dense: LabelledSet, tile: int) -> None:
    with pytest.raises(ConfigError, match=f"tile {tile} is not a multiple of 32 from 64 to 4096"):
        evaluate_set(BrightSquares(bright_card(256)), dense, tiling=Tiling(tile))


def test_an_overlap_is_of_the_smaller_tile(dense: LabelledSet) -> None:
    config = DetectConfig(overlap="60")
    with pytest.raises(ConfigError, match="overlap '60' is outside 0 to 75 % of the model's tile of 64 pixels"):
        evaluate_set(BrightSquares(bright_card(256)), dense, config=config, tiling=Tiling(64))


def test_an_image_with_holes_is_an_error_or_left_out(tmp_path: Path) -> None:
    path = damaged_scene(tmp_path / "a.tif", [9])
    nothing = np.zeros(0)
    annotation = Annotation(
        path, 512, 512, nothing.reshape(0, 4).astype(np.float32), nothing.astype(np.int64), (0, 1), nothing.astype(bool)
    )
    labelled = LabelledSet("damaged", CLASSES, (annotation,), ())
    predictor = BrightSquares(bright_card(256))
    with pytest.raises(SceneError, match="damaged or incomplete"):
        evaluate_set(predictor, labelled, tiling=Tiling(128))
    messages: list[str] = []
    assert (
        evaluate_set(predictor, labelled, tiling=Tiling(128), warn=messages.append).images == 0
        and "left out" in messages[0]
    )
