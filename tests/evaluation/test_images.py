"""Evaluation of whole images with a real predictor that needs no network: it finds bright squares."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.bright import BrightSquares, bright_card
from support.bright_sets import bright_image, bright_set, scattered

from lcageo.config import BENCHMARK, DetectConfig
from lcageo.data.annotations import LabelledSet
from lcageo.data.dataset import EvalDataset
from lcageo.data.images import read_image
from lcageo.detections import Detections
from lcageo.errors import DataError, DeviceMemoryError
from lcageo.evaluation.images import as_truth, evaluate_found, evaluate_set, find_objects, find_readable
from lcageo.metrics.summary import evaluate_detections


@pytest.fixture
def labelled(tmp_path: Path) -> LabelledSet:
    """Seven images: of the tile's size, and smaller and larger ones, upright and lying."""
    sizes = [(128, 128), (128, 96), (96, 128), (64, 64), (256, 256), (256, 130), (60, 256)]
    return bright_set(
        *(
            bright_image(tmp_path / f"{number}.png", *size, scattered(number, *size, darkest=235))
            for number, size in enumerate(sizes)
        )
    )


class Fixed(BrightSquares):
    """Finds the same in every image."""

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        super().__init__(bright_card(128))
        self.found = Detections(
            np.array(boxes, np.float32), np.array(scores, np.float32), np.zeros(len(scores), np.int64)
        )

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        return [self.found for _ in images]


def rows(found: Detections) -> list[list[float]]:
    return sorted([*box, int(label)] for box, label in zip(found.boxes_xyxy.tolist(), found.labels, strict=True))


def test_boxes_are_given_in_the_pixels_of_the_original(labelled: LabelledSet) -> None:
    found = find_objects(BrightSquares(bright_card(128)), labelled)
    assert len(found) == len(labelled)
    for one, annotation in zip(found, labelled.annotations, strict=True):
        assert len(one) == len(annotation)
        coarse = max(1.0, max(annotation.width, annotation.height) / 128)  # a pixel of the image as it was seen
        for box, label in zip(annotation.boxes_xyxy, annotation.labels, strict=True):
            off = np.abs(one.boxes_xyxy - box).max(axis=1)
            assert off.min() <= coarse and one.labels[off.argmin()] == label
    assert rows(found[0]) == sorted(
        [*box, label]
        for box, label in zip(labelled.annotations[0].boxes_xyxy.tolist(), labelled.annotations[0].labels, strict=True)
    )


def test_all_is_found_and_measured(tmp_path: Path) -> None:
    one = bright_image(tmp_path / "a.png", 128, 128, scattered(1, 128, 128))
    evaluation = evaluate_set(BrightSquares(bright_card(128)), bright_set(one))
    assert evaluation.map50 == evaluation.map50_95 == evaluation.ar == 1
    assert [part.objects for part in evaluation.per_class] == np.bincount(one.labels, minlength=2).tolist()


def test_the_batch_and_the_memory_of_the_device_do_not_matter(labelled: LabelledSet) -> None:
    results = []
    for batch, largest in ((1, 1), (3, 3), (100, 100), (5, 1)):
        predictor = BrightSquares(bright_card(128), largest)
        results.append([rows(one) for one in find_objects(predictor, labelled, batch=batch)])
        assert max(predictor.batches) == min(largest, len(labelled))
    assert results[0] == results[1] == results[2] == results[3]


def test_a_device_that_cannot_hold_one_image_is_an_error(labelled: LabelledSet) -> None:
    with pytest.raises(DeviceMemoryError, match="batch of 1 tiles"):
        find_objects(BrightSquares(bright_card(128), largest_batch=0), labelled)


def test_boxes_are_clipped_at_the_images_border_and_those_in_the_padding_are_dropped(tmp_path: Path) -> None:
    image = bright_image(tmp_path / "a.png", 256, 128, [])  # seen as 128 x 64
    predictor = Fixed([[100, 50, 140, 90], [10, 70, 20, 80], [-5, -5, 10, 10]], [0.9, 0.8, 0.7])
    (found,) = find_objects(predictor, bright_set(image))
    assert found.boxes_xyxy.tolist() == [[200, 100, 256, 128], [0, 0, 20, 20]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])


def test_the_best_of_an_image_are_kept(tmp_path: Path) -> None:
    image = bright_image(tmp_path / "a.png", 128, 128, [])
    predictor = Fixed([[x, 0, x + 1, 1] for x in range(120)], np.linspace(1, 0.1, 120).tolist())
    assert len(find_objects(predictor, bright_set(image))[0]) == BENCHMARK.max_per_tile == 100
    (few,) = find_objects(predictor, bright_set(image), config=DetectConfig(max_per_tile=3))
    assert few.boxes_xyxy[:, 0].tolist() == [0, 1, 2]


def test_the_best_are_chosen_before_boxes_in_the_padding_are_dropped_as_by_a_predictor(tmp_path: Path) -> None:
    image = bright_image(tmp_path / "a.png", 128, 64, [])
    predictor = Fixed([[0, 70, 9, 90], [0, 0, 9, 9], [20, 0, 29, 9]], [0.9, 0.8, 0.7])
    (found,) = find_objects(predictor, bright_set(image), config=DetectConfig(max_per_tile=2))
    assert found.boxes_xyxy.tolist() == [[0, 0, 9, 9]]


def test_the_rest_of_the_tile_has_the_models_mean_colour(tmp_path: Path) -> None:
    seen: list[NDArray[np.uint8]] = []

    class Looking(BrightSquares):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            seen.append(images)
            return super().predict(images)

    card = replace(bright_card(128), mean=(10.4, 20.0, 29.6))
    find_objects(Looking(card), bright_set(bright_image(tmp_path / "a.png", 128, 64, [])))
    assert (seen[0][0, :, 64:] == np.array([10, 20, 30])[:, None, None]).all()


def test_small_images_are_not_enlarged_for_a_model_that_knows_them_as_they_are(labelled: LabelledSet) -> None:
    seen: dict[bool, list[NDArray[np.uint8]]] = {True: [], False: []}

    class Looking(BrightSquares):
        def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
            seen[self.card.enlarges].extend(images)
            return super().predict(images)

    card = bright_card(128)
    found = [find_objects(Looking(one), labelled) for one in (card, replace(card, recipe={"native": True}))]
    for index, annotation in enumerate(labelled.annotations):
        is_small = max(annotation.width, annotation.height) < 128
        assert np.array_equal(seen[True][index], seen[False][index]) != is_small
        if is_small:
            pixels = read_image(annotation.image).transpose(2, 0, 1)
            assert np.array_equal(seen[False][index][:, : annotation.height, : annotation.width], pixels)
            assert rows(found[1][index]) == rows(
                Detections(annotation.boxes_xyxy, np.ones(len(annotation)), annotation.labels)
            )
        else:
            assert rows(found[0][index]) == rows(found[1][index])


def test_progress_counts_every_image(labelled: LabelledSet) -> None:
    done: list[int] = []
    evaluate_set(BrightSquares(bright_card(128)), labelled, batch=3, on_progress=done.append)
    assert done == [3, 3, 1]


def test_images_already_loaded_are_used(labelled: LabelledSet) -> None:
    images = EvalDataset(labelled, 128)
    images.store.fill()
    for annotation in labelled.annotations:
        annotation.image.unlink()
    assert evaluate_set(BrightSquares(bright_card(128)), labelled, images=images).ar > 0.5


def test_an_image_that_cannot_be_read_is_an_error_or_left_out(labelled: LabelledSet) -> None:
    broken = labelled.annotations[2].image
    broken.write_bytes(broken.read_bytes()[:200])
    predictor = BrightSquares(bright_card(128))
    with pytest.raises(DataError, match=r"image '.*2.png' cannot be decoded"):
        evaluate_set(predictor, labelled)
    messages: list[str] = []
    done: list[int] = []
    evaluation = evaluate_set(predictor, labelled, warn=messages.append, on_progress=done.append)
    assert len(messages) == 1 and str(broken) in messages[0] and messages[0].endswith("image left out")
    others = bright_set(*(one for one in labelled.annotations if one.image != broken))
    assert evaluation.as_json() == evaluate_set(predictor, others).as_json() and sum(done) == len(labelled)


def test_what_an_image_is_not_annotated_for_is_left_out(tmp_path: Path) -> None:
    grey, white = (10, 10, 12, 210), (50, 50, 12, 250)
    both = bright_image(tmp_path / "a.png", 128, 128, [grey, white])
    only_white = {"boxes_xyxy": both.boxes_xyxy[1:], "labels": both.labels[1:], "difficult": both.difficult[1:]}
    partly = replace(both, labelled_classes=(1,), **only_white)
    evaluation = evaluate_set(BrightSquares(bright_card(128)), bright_set(partly))
    assert [one.detections for one in evaluation.per_class] == [0, 1] and evaluation.map50 == 1


def test_what_was_found_elsewhere_is_measured_alike(labelled: LabelledSet) -> None:
    found = find_objects(BrightSquares(bright_card(128)), labelled)
    evaluation = evaluate_found(labelled, found)
    truths = [as_truth(annotation) for annotation in labelled.annotations]
    assert evaluation.as_json() == evaluate_detections(labelled.classes, truths, found).as_json()


def test_other_classes_than_the_models_are_refused(labelled: LabelledSet) -> None:
    other = LabelledSet("squares", labelled.classes[::-1], labelled.annotations)
    with pytest.raises(DataError, match="the classes white square, grey square, but model 'bright' has grey"):
        evaluate_set(BrightSquares(bright_card(128)), other)


def test_a_set_without_images_is_refused() -> None:
    with pytest.raises(DataError, match="'squares' has no usable image to evaluate; run 'lcageo data check'"):
        evaluate_set(BrightSquares(bright_card(128)), bright_set())


def test_whole_images_need_nothing_that_reads_or_draws_maps(labelled: LabelledSet) -> None:
    """A trainer validates on machines without these packages."""
    code = """
import sys
for name in ("rasterio", "geopandas", "shapely", "matplotlib", "pandas", "pyogrio"):
    sys.modules[name] = None  # importing it raises ImportError
from pathlib import Path
import numpy as np
from support.bright import CLASSES, BrightSquares, bright_card
from lcageo.data.annotations import Annotation, LabelledSet
from lcageo.evaluation.images import evaluate_set
nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), (0, 1), np.zeros(0, np.bool_)
labelled = LabelledSet("squares", CLASSES, (Annotation(Path(sys.argv[1]), 128, 128, *nothing),))
print(evaluate_set(BrightSquares(bright_card(128)), labelled).images)
"""
    tests = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", code, str(labelled.annotations[0].image)]
    done = subprocess.run(command, cwd=tests, capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_images_of_more_objects_than_are_kept_are_told(tmp_path: Path) -> None:
    labelled = bright_set(bright_image(tmp_path / "a.png", 128, 128, scattered(1, 128, 128)))
    assert len(labelled.annotations[0]) > 2
    said: list[str] = []
    for most in (2, 100):
        config = DetectConfig(max_per_tile=most)
        find_readable(BrightSquares(bright_card(128)), labelled, config=config, warn=said.append)
    assert said == ["1 image of 'squares' with more than 2 objects, of which no more can be found: give more "
                    "(--max-per-image)"]  # fmt: skip


@pytest.mark.parametrize(("score", "count"), [(0.05, 3), (0.5, 2), (0.8, 1)])
def test_only_objects_that_score_enough_count(tmp_path: Path, score: float, count: int) -> None:
    """A predictor may find more: what is worth a finer look in a scene."""
    labelled = bright_set(bright_image(tmp_path / "a.png", 128, 128, []))
    predictor = Fixed([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [0.9, 0.6, 0.1])
    (found,) = find_objects(predictor, labelled, config=DetectConfig(score=score))
    assert found.scores.tolist() == pytest.approx([0.9, 0.6, 0.1][:count])
