"""S and S* compared with plain loops on a real network's outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dense import Dense, DenseModel
from maps_picture import level_of, map_of
from rivals import LEAST_RIVALS, RESAMPLES, rivals_of, summary
from support.shapes import write_shapes
from support.untrained import make_untrained_model

from lcageo.config import DetectConfig
from lcageo.data.annotations import LabelledSet
from lcageo.data.dataset import EvalDataset
from lcageo.data.formats.coco import read_coco
from lcageo.network_config import STRIDES, Preset
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor

Box = list[float]
SIDE = 128


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "val.json", 4)


def model_of(preset: Preset, folder: Path) -> DenseModel:
    return DenseModel(find_card(str(make_untrained_model(folder / preset, tile_size=SIDE, preset=preset))), "cpu")


def set_of(labels: Path, model: DenseModel) -> LabelledSet:
    """The shapes, with the model's classes."""
    return replace(read_coco(labels), classes=model.card.classes)


def slow_iou(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / (sum(areas) - width * height)


def slow_spearman(first: list[float], second: list[float]) -> float:
    def ranks(values: list[float]) -> list[float]:
        return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]

    one, other = ([rank - (len(values) + 1) / 2 for rank in ranks(values)] for values in (first, second))
    below = (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5
    return sum(a * b for a, b in zip(one, other, strict=True)) / below if below > 1e-9 else float("nan")


@pytest.mark.parametrize("preset", [Preset.RETINANET, Preset.FCOS, Preset.LCA_BASELINE, Preset.LCA])
def test_dense_outputs_hold_what_is_detected(preset: Preset, labels: Path, tmp_path: Path) -> None:
    model = model_of(preset, tmp_path)
    labelled = set_of(labels, model)
    predictor = load_predictor(model.card, DetectConfig(score=0.0, max_per_tile=1), "cpu")
    images = EvalDataset(labelled, SIDE, fill=model.card.fill)
    for dense in model.run(labelled):
        annotation = labelled.annotations[dense.index]
        assert dense.objects_xyxy.tolist() == annotation.boxes_xyxy.tolist()  # the tile has the image's size
        (surest,) = predictor.predict(images[dense.index].image.numpy()[None])
        same = np.flatnonzero(dense.labels == surest.labels[0])
        if len(same):
            place = int(dense.scores[same[0]].argmax())
            assert dense.scores[same[0], place] == pytest.approx(float(surest.scores[0]), rel=1e-5)
            assert dense.boxes_xyxy[place] == pytest.approx(surest.boxes_xyxy[0], abs=1e-3)
        for number, box in enumerate(dense.objects_xyxy.tolist()):
            slow = [slow_iou(other, box) for other in dense.boxes_xyxy.tolist()]
            assert dense.iou[number] == pytest.approx(slow, abs=1e-5)
            inside = [box[0] < x < box[2] and box[1] < y < box[3] for x, y in dense.points_xy.tolist()]
            assert dense.inside[number].tolist() == inside
        differ = not np.allclose(dense.scores, dense.class_scores)
        assert differ == (preset in (Preset.FCOS, Preset.LCA))


def test_the_final_score_is_the_root_of_s_times_p(labels: Path, tmp_path: Path) -> None:
    model = model_of(Preset.LCA, tmp_path)
    dense = next(iter(model.run(set_of(labels, model))))
    probability = dense.scores**2 / dense.class_scores  # P, which all classes share
    assert probability == pytest.approx(np.broadcast_to(probability[0], probability.shape), rel=1e-4)
    assert (probability > 0).all() and (probability < 1).all()


def test_an_assignment_by_geometry_gives_the_locations_of_its_slow_loop(labels: Path, tmp_path: Path) -> None:
    from detector.test_assign_geometric import slow_atss
    from support.slow_assign import level_maps

    from lcageo.detector.assign import point_places

    model = model_of(Preset.LCA_BASELINE, tmp_path)
    places = point_places(level_maps(SIDE, SIDE))
    for dense in model.run(set_of(labels, model)):
        objects, _ = slow_atss(places, dense.objects_xyxy.tolist())
        assert dense.positives.tolist() == [objects.count(number) for number in range(len(dense.labels))]


def dense_of(index: int, class_scores: np.ndarray, scores: np.ndarray, iou: np.ndarray, sides: list[float]) -> Dense:
    """An image with `sides` as its objects' sizes; fields that rivals do not use are empty."""
    count = len(sides)
    return Dense(
        index=index,
        pixels=np.zeros((SIDE, SIDE, 3), np.uint8),
        objects_xyxy=np.array([[0.0, 0.0, side, side] for side in sides]).reshape(-1, 4),
        labels=np.zeros(count, np.int64),
        boxes_xyxy=np.zeros((iou.shape[1], 4)),
        points_xy=np.zeros((iou.shape[1], 2)),
        level_sizes=(iou.shape[1],),
        class_scores=class_scores,
        scores=scores,
        iou=iou,
        inside=np.zeros(iou.shape, np.bool_),
        positives=np.arange(count) + 3,
    )


@pytest.mark.parametrize("seed", range(20))
def test_ranks_and_choices_are_those_of_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = []
    for index in range(4):
        count = int(rng.integers(0, 4))
        shape = (count, int(rng.integers(1, 20)))
        values = [np.round(rng.random(shape), 1 if seed % 2 else 6) for _ in range(3)]  # tenths, so that many are equal
        images.append(dense_of(index, *values, rng.uniform(5, 120, count).tolist()))
    found = rivals_of(images)
    expected = []
    for dense in images:
        for number in range(len(dense.labels)):
            own = [n for n, value in enumerate(dense.iou[number]) if value >= 0.5]
            iou = [float(dense.iou[number, n]) for n in own]
            row = [float("nan")] * 5
            for column, scores in enumerate((dense.class_scores[number], dense.scores[number])):
                if own:
                    row[2 + column] = float(dense.iou[number, max(own, key=lambda n: scores[n])])
                if len(own) >= LEAST_RIVALS:
                    row[column] = slow_spearman([float(scores[n]) for n in own], iou)
            row[4] = max(iou, default=float("nan"))
            expected.append((dense.index, number + 3, *row))
    ours = zip(found.images, found.positives, found.class_rank, found.score_rank, found.class_choice,
               found.score_choice, found.best, strict=True)  # fmt: skip
    for one, other in zip(ours, expected, strict=True):
        assert one == pytest.approx(other, nan_ok=True)


def test_intervals_draw_images_with_all_their_objects() -> None:
    rng = np.random.default_rng(1)
    counts = (3, 0, 2, 4, 1)
    images = [
        dense_of(index, *(rng.random((count, 12)) for _ in range(2)), rng.uniform(0.5, 1, (count, 12)), [40.0] * count)
        for index, count in enumerate(counts)
    ]
    rivals = rivals_of(images)
    gain = rivals.score_rank - rivals.class_rank
    having = [index for index, count in enumerate(counts) if count]
    means = []
    for times in np.random.default_rng(0).multinomial(len(having), np.full(len(having), 1 / len(having)), RESAMPLES):
        drawn = [
            value for index, n in zip(having, times, strict=True) for value in n * gain[rivals.images == index].tolist()
        ]
        means.append(sum(drawn) / len(drawn))
    figures = summary(rivals)
    assert figures["rank_gain"]["interval"] == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist())
    assert figures["rank_gain"]["mean"] == pytest.approx(figures["rank_of_S*"] - figures["rank_of_S"])
    assert figures["positives"]["medium"]["objects"] == figures["objects"] == 10


def test_a_score_that_follows_iou_ranks_it_better() -> None:
    rng = np.random.default_rng(2)
    iou = rng.uniform(0.5, 1, (6, 30))
    figures = summary(rivals_of([dense_of(0, rng.random((6, 30)), iou**2, iou, [10.0] * 6)]))
    assert figures["rank_of_S*"] == pytest.approx(1) and abs(figures["rank_of_S"]) < 0.4
    assert figures["iou_chosen_by_S*"] == figures["iou_best"] > figures["iou_chosen_by_S"]
    assert figures["positives"]["small"] == {"objects": 6, "mean": 5.5, "median": 5.5, "least": 3}
    assert figures["positives"]["large"] == {"objects": 0, "mean": None, "median": None, "least": None}


def test_without_objects_there_are_no_figures() -> None:
    figures = summary(rivals_of([dense_of(0, *[np.zeros((0, 5))] * 3, [])]))
    assert figures["objects"] == 0 and figures["rank_of_S"] is None
    assert figures["rank_gain"] == {"mean": None, "interval": None}


@pytest.mark.parametrize("preset", [Preset.RETINANET, Preset.LCA])
def test_map_cells_are_at_their_points(preset: Preset, labels: Path, tmp_path: Path) -> None:
    model = model_of(preset, tmp_path)
    dense = next(iter(model.run(set_of(labels, model))))
    for level, stride in enumerate(STRIDES):
        x, y = (map_of(dense, dense.points_xy[:, axis], level) for axis in (0, 1))
        assert x[0] == pytest.approx([stride * (n + 0.5) for n in range(len(x))])
        assert y[:, -1] == pytest.approx([stride * (n + 0.5) for n in range(len(y))])
    ends = np.cumsum(dense.level_sizes)
    assert [level_of(dense, int(end) - 1) for end in ends] == list(range(5)) == [
        level_of(dense, int(end - size)) for end, size in zip(ends, dense.level_sizes, strict=True)
    ]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """With such small layers, several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
