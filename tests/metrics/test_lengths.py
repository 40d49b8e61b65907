import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.detections import Detections
from lcageo.metrics.lengths import LENGTHS_PX, empty_figures, length_figures, length_names
from lcageo.metrics.match import match
from lcageo.metrics.summary import evaluate_detections
from lcageo.metrics.truth import ImageTruth, counted

CLASSES = ("ship", "car")


def truth(
    boxes: list[list[float]], labels: list[int], labelled: tuple[int, ...] = (0, 1), side: int = 500
) -> ImageTruth:
    return ImageTruth(
        side,
        side,
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(labels, np.int64),
        np.zeros(len(labels), bool),
        labelled,
    )


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(
        np.array(boxes, np.float64).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int64)
    )


def figures(truths: list[ImageTruth], detections: list[Detections], minimum: float = 0.5):  # type: ignore[no-untyped-def]
    matches = match(counted(2, truths, detections, 100))
    return length_figures(matches, np.full(2, minimum))


def test_there_is_a_name_for_each_length():
    assert length_names() == ("<8", "8-12", "12-20", "20-40", "40-96", ">=96")
    assert len(length_names()) == len(LENGTHS_PX) - 1


def test_a_length_on_a_border_belongs_to_the_upper_class():
    boxes = [[0, 0, length, 1] for length in (7.9, 8, 12, 20, 39, 40, 96)]
    image = truth(boxes, [0] * len(boxes))
    assert figures([image], [Detections.empty()]).objects.tolist() == [[1, 1, 1, 2, 1, 1], [0] * 6]


def test_objects_of_other_lengths_are_neither_found_nor_missed_nor_false():
    small, large = [0.0, 0, 10, 5], [100.0, 100, 160, 150]
    image = truth([small, large], [1, 1])
    detections = found([small, large, [300, 300, 310, 304]], [0.9, 0.8, 0.95], [1, 1, 1])
    got = figures([image], [detections])
    assert got.ap50[1, 4] == 1 and got.ap50[1, 1] == pytest.approx(0.5), "the false one has 10 pixels"
    assert got.found[1].tolist() == [0, 1, 0, 0, 1, 0] and got.false[1].tolist() == [0, 1, 0, 0, 0, 0]
    assert np.isnan(got.ap50[0]).all() and got.false[0].sum() == 0


def test_scores_at_the_threshold_do_not_count_as_found():
    image = truth([[0, 0, 10, 5]], [0])
    assert figures([image], [found([[0, 0, 10, 5]], [0.5], [0])], minimum=0.5).found.sum() == 0
    assert figures([image], [found([[0, 0, 10, 5]], [0.5], [0])], minimum=0.49).found.sum() == 1


boxes = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(1, 150), st.integers(1, 150), st.integers(0, 1)),
    max_size=12,
)


@given(boxes, boxes, st.integers(0, 1000))
def test_lengths_add_up_to_the_whole(objects, guesses, seed):  # type: ignore[no-untyped-def]
    """Every object and every false detection is in one length, and one length alone has the AP of the class."""
    image = truth([[x, y, x + w, y + h] for x, y, w, h, _ in objects], [label for *_, label in objects])
    scores = np.random.default_rng(seed).uniform(0.01, 1, len(guesses)).tolist()
    detections = found(
        [[x, y, x + w, y + h] for x, y, w, h, _ in (*guesses,)], scores, [label for *_, label in guesses]
    )
    got = figures([image], [detections], minimum=0.0)
    whole = evaluate_detections(CLASSES, [image], [detections])
    for label, one in enumerate(whole.per_class):
        assert got.objects[label].sum() == one.objects
        assert got.found[label].sum() + got.false[label].sum() == one.detections
        used = [length for length in range(6) if got.objects[label, length]]
        if len(used) == 1 and got.false[label].sum() == got.false[label, used[0]]:
            assert got.ap50[label, used[0]] == pytest.approx(one.ap50)


def test_only_images_without_anything_to_find_count_as_empty():
    images = [truth([], [], side=1000), truth([], [], labelled=(0,)), truth([[0, 0, 5, 5]], [0]), truth([], [])]
    detections = [
        found([[0, 0, 5, 5], [9, 9, 20, 20], [50, 50, 60, 60]], [0.6, 0.6, 0.4], [0, 1, 0]),
        *[found([[0, 0, 5, 5]], [0.99], [0])] * 2,
        Detections.empty(),
    ]
    got = empty_figures(CLASSES, images, detections, {"ship": 0.5, "car": 0.7})
    assert (got.images, got.megapixels, got.false, got.images_with_false) == (2, 1.25, 1, 1)
    assert got.per_megapixel == pytest.approx(0.8)
    nothing = empty_figures(CLASSES, images[1:3], detections[1:3], {"ship": 0.5, "car": 0.7})
    assert nothing.images == 0 and np.isnan(nothing.per_megapixel)
