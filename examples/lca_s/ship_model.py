"""Makes a model to ship from a training run: float16 weights, with thresholds and metrics of exactly these weights.

    python examples/lca_s/ship_model.py runs/lca-s models/lca-s.toml --trained-on "NWPU VHR-10 and openmix"
        --val vhr10=VHR10/val.json --val openmix=OPENMIX/val.json --class-map examples/lca_s/lca-s-classes.toml

Every image is run as `detect` runs a scene: in tiles at its own resolution, in as many passes as the card asks for.
Metrics are those of each set on its own. Thresholds are the lowest whose F1, the mean over the sets, is within two per
cent of the best, since a false object is deleted faster than a missed one is drawn, raised until images without objects
have at most one false object in ten megapixels. The mean, since a set of many images of one street would decide alone.
Scores are calibrated on all sets, too, of classes with twenty objects or more in them: what is printed first is how far
the calibration is off, and how often the number of right boxes of a set and class, predicted by the other sets, lay in
its interval. Sets of rendered images are named by --rendered: `models list` leaves them out of its mean. How the
training images look is measured on a thousand of --train. Object sizes are those below. The card has no local paths.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray

from lcageo.appearance import Appearance
from lcageo.config import BENCHMARK, Backend, DetectConfig
from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.classmap import ClassMap, load_class_map
from lcageo.data.images import read_image
from lcageo.data.sets import read_sets
from lcageo.detections import Detections
from lcageo.evaluation.calibrate import calibrations, reliability
from lcageo.evaluation.images import evaluate_found, find_objects, kept_of_tiles
from lcageo.evaluation.scenes import Tiling
from lcageo.evaluation.sets import together
from lcageo.metrics.curves import Curve
from lcageo.metrics.summary import Evaluation
from lcageo.runtime.catalog import ModelCard, find_card, write_card
from lcageo.runtime.predictor import load_predictor
from lcageo.scene.look import appearance_of, look

SIZE_M = {
    "airplane": (6.0, 100.0),  # a two-seater's span is 7 m or more, an An-225's 88 m
    "ship": (3.0, 500.0),  # the longest was 458 m
    "storage tank": (3.0, 130.0),
    "baseball diamond": (15.0, 250.0),  # an infield's side is 18 to 27 m; some boxes hold the outfield
    "tennis court": (10.0, 80.0),  # 24 m of lines, 36 m with its run-off
    "basketball court": (10.0, 70.0),  # 28 m; half courts are boxed too
    "ground track field": (60.0, 350.0),  # 177 m around a 400 m track; school tracks have 200 m
    "harbor": (8.0, 2_000.0),
    "bridge": (5.0, 20_000.0),
    "vehicle": (1.5, 40.0),  # a road train in parts
}
"""Minimum and maximum of a box's longer side, metres, with a wide margin, so that no real object is lost."""

LOOKED_AT = 1000
"""Training images whose look is measured."""
NEARLY_BEST = 0.98
MAX_FALSE_PER_MEGAPIXEL = 0.1
"""Above the thresholds, on images without objects."""


def halved(card: ModelCard, target: Path) -> ModelCard:
    """Writes the weights in float16 beside `target` and returns the card for them."""
    weights = safetensors.torch.load_file(card.weights)
    content = safetensors.torch.save(
        {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    )
    path = target.with_suffix(".safetensors").absolute()
    path.write_bytes(content)
    return replace(card, name=target.stem, weights=path, sha256=hashlib.sha256(content).hexdigest())


def training_look(paths: Sequence[Path], card: ModelCard) -> Appearance:
    """How training images look: of some from each COCO file, as much as fits into a tile."""
    rng, numbers = np.random.default_rng(0), []
    for path in paths:
        images = read_sets([path], SplitName.TRAIN, card.classes, None).annotations
        for index in rng.permutation(len(images))[: LOOKED_AT // len(paths)]:
            side = card.tile_size
            numbers.append(look(read_image(images[index].image)[:side, :side].transpose(2, 0, 1), card.fill))
    known = np.stack(numbers)
    return appearance_of(known[~np.isnan(known).any(axis=1)])


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """A card's metrics of one validation set."""
    interval = evaluation.resampled().map50_interval
    return {
        "images": evaluation.images,
        "mAP50": round(evaluation.map50, 4),
        "mAP50_interval": [round(interval.low, 3), round(interval.high, 3)],
        "mAP75": round(evaluation.map75, 4),
        "mAP50_95": round(evaluation.map50_95, 4),
        "per_class_AP50": {one.name: round(one.ap50, 4) for one in evaluation.per_class if one.objects},
    }


def shipped(
    card: ModelCard,
    sets: dict[str, Path],
    incomplete: dict[str, Path],
    class_map: ClassMap | None,
    trained_on: str,
    rendered: Sequence[str] = (),
) -> ModelCard:
    """The card with thresholds and metrics, and without local paths.

    Args:
        card: of the trained model.
        sets: validation data by name.
        incomplete: class whose labels are not complete in a set, by the set's name: it is left out for thresholds.
        class_map: names to merge.
        trained_on: for the card.
        rendered: names of the sets whose images are rendered.
    """

    def read(paths: list[Path]) -> LabelledSet:
        return read_sets(paths, SplitName.VAL, card.classes, class_map)

    predictor = load_predictor(card, kept_of_tiles(BENCHMARK), "cpu", Backend.OPENVINO)
    labelled = {name: read([path]) for name, path in sets.items()}
    found = {name: find_objects(predictor, images, tiling=Tiling()) for name, images in labelled.items()}
    evaluations = {name: evaluate_found(images, found[name]) for name, images in labelled.items()}
    metrics = {
        name: figures(evaluations[name]) | ({"is_rendered": True} if name in rendered else {})
        for name, images in labelled.items()
        if any(map(len, images.annotations))
    }
    complete = {
        name: without(images, str(incomplete[name])) if name in incomplete else images
        for name, images in labelled.items()
    }
    whole, all_found = together([(images, found[name]) for name, images in complete.items()])
    of_sets = [
        evaluate_found(images, found[name]) if name in incomplete else evaluations[name]
        for name, images in complete.items()
    ]
    thresholds = raised(lenient(of_sets), whole, all_found)
    calibration = calibrations(of_sets)
    trust = reliability(of_sets, calibration, thresholds)
    print(
        f"expected calibration error {trust.error:.3f}; of {trust.predicted} pairs of a set and a class, predicted by "
        f"the other sets, {trust.covered} have as many right boxes as the interval says"
    )
    recipe = {
        name: ["/".join(Path(path).parts[-2:]) for path in value] if name in ("data", "val") else value
        for name, value in card.recipe.items()
    }
    return replace(
        card,
        metrics=metrics,
        thresholds=thresholds,
        calibration=calibration,
        size_m={name: SIZE_M[name] for name in card.classes if name in SIZE_M},
        recipe=recipe,
        trained_on=trained_on,
    )


def lenient(sets: Sequence[Evaluation]) -> dict[str, float]:
    """The lowest score of each class whose F1, the mean over the sets, is nearly the best; none if nothing was found.

    Args:
        sets: evaluation of each set; those without objects of a class do not count for it.
    """
    thresholds = {}
    for classes in zip(*(one.per_class for one in sets), strict=True):
        curves = [one.curve for one in classes if one.objects]
        scores = np.unique(np.concatenate([np.zeros(0, np.float32), *(curve.scores for curve in curves)]))
        possible = np.nextafter(scores.astype(np.float32), np.float32(0))  # objects must exceed their threshold
        f1 = np.mean([f1_above(curve, possible) for curve in curves], axis=0) if len(possible) else np.zeros(0)
        near = np.flatnonzero((f1 >= NEARLY_BEST * f1.max(initial=0)) & (f1 > 0))
        if len(near):
            thresholds[classes[0].name] = float(possible[near[0]])
    return thresholds


def f1_above(curve: Curve, minimum: NDArray[np.float32]) -> NDArray[np.float64]:
    """F1 of the detections that score more than each of some minimum scores; 0 where none does."""
    if not len(curve.scores):
        return np.zeros(len(minimum))
    last = np.searchsorted(-curve.scores, -minimum, side="left") - 1
    precision, recall = curve.precision[last], curve.recall[last]
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=(total > 0) & (last >= 0))


def without(labelled: LabelledSet, name: str) -> LabelledSet:
    """The set as if its images were not annotated for a class."""
    label = labelled.classes.index(name)
    annotations = []
    for one in labelled.annotations:
        kept = one.labels != label
        annotations.append(
            replace(
                one,
                boxes_xyxy=one.boxes_xyxy[kept],
                labels=one.labels[kept],
                difficult=one.difficult[kept],
                labelled_classes=tuple(known for known in one.labelled_classes if known != label),
            )
        )
    return replace(labelled, annotations=tuple(annotations))


def raised(thresholds: dict[str, float], labelled: LabelledSet, found: Sequence[Detections]) -> dict[str, float]:
    """Thresholds with few enough false objects on images without objects, changed where it takes the least.

    Args:
        thresholds: scores that objects of each class must exceed.
        labelled: the images.
        found: what is found in each of them.
    """
    result = {name: thresholds.get(name, DetectConfig.DEFAULT_SCORE) for name in labelled.classes}
    empty = [
        (annotation, one)
        for annotation, one in zip(labelled.annotations, found, strict=True)
        if not len(annotation) and len(annotation.labelled_classes) == len(labelled.classes)
    ]
    megapixels = sum(annotation.width * annotation.height for annotation, _ in empty) / 1e6
    false = Detections.joined([one for _, one in empty])
    minimum = np.array([result[name] for name in labelled.classes])[false.labels]
    false = false.selected(np.argsort(-(false.scores - minimum)))  # those that are hardest to avoid come first
    for score, label in zip(false.scores.tolist(), false.labels.tolist(), strict=True):
        if megapixels * MAX_FALSE_PER_MEGAPIXEL >= 1:
            megapixels -= 1 / MAX_FALSE_PER_MEGAPIXEL  # this one may stay
        else:
            result[labelled.classes[label]] = max(result[labelled.classes[label]], score)
    return result


def named_path(text: str) -> tuple[str, Path]:
    """'vhr10=VHR10/val.json' -> ('vhr10', path)."""
    name, _, path = text.partition("=")
    return name, Path(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder that 'lcageo train' wrote")
    parser.add_argument("card", type=Path, help="the card to write; the weights go beside it")
    parser.add_argument("--val", type=named_path, action="append", required=True, metavar="NAME=PATH")
    parser.add_argument(
        "--incomplete", type=named_path, action="append", default=[], metavar="NAME=CLASS",
        help="a set that does not label all objects of a class, which then does not decide the class's threshold",
    )  # fmt: skip
    parser.add_argument(
        "--rendered", action="append", default=[], metavar="NAME", help="a set of rendered, not of real images"
    )
    parser.add_argument("--class-map", type=Path)
    parser.add_argument(
        "--train", type=Path, action="append", default=[], metavar="PATH",
        help="COCO file of training images (default: the model does not know how they look)",
    )  # fmt: skip
    parser.add_argument("--trained-on", required=True)
    parser.add_argument("--tile", type=int, help="tile size, pixels (default: the run's)")
    parser.add_argument("--larger-tile", type=int, help="size of larger tiles that find as much (default: none)")
    parser.add_argument("--gsd", help="MIN,MAX metres per pixel (default: the run's)")
    parser.add_argument("--largest", type=int, help="longest side of the expected objects, pixels (default: the run's)")
    parser.add_argument("--lengths", help="MIN,MAX pixels of the objects that one pass serves (default: one pass)")
    arguments = parser.parse_args()
    card = halved(find_card(arguments.run), arguments.card)
    if arguments.tile:
        card = replace(card, tile_size=arguments.tile)
    if arguments.larger_tile:
        card = replace(card, larger_tile_size=arguments.larger_tile)
    if arguments.gsd:
        minimum, maximum = map(float, arguments.gsd.split(","))
        card = replace(card, gsd_m=(minimum, maximum))
    if arguments.largest:
        card = replace(card, largest_object_px=arguments.largest)
    if arguments.lengths:
        shortest, longest = map(float, arguments.lengths.split(","))
        card = replace(card, lengths_px=(shortest, longest))
    if arguments.train:
        card = replace(card, appearance=training_look(arguments.train, card))
    class_map = load_class_map(arguments.class_map) if arguments.class_map else None
    sets = dict(arguments.val)
    if unknown := set(arguments.rendered) - set(sets):
        parser.error(f"--rendered names sets that --val does not: {', '.join(sorted(unknown))}")
    card = shipped(card, sets, dict(arguments.incomplete), class_map, arguments.trained_on, arguments.rendered)
    write_card(card, arguments.card)
    for name, values in card.metrics.items():
        print(f"{name}: mAP50 {values['mAP50']:.3f} {values['mAP50_interval']}, mAP50:95 {values['mAP50_95']:.3f}")


if __name__ == "__main__":
    main()
