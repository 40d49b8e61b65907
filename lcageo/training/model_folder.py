"""The model folder that a training run keeps up to date: card and weights, always a matching pair."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lcageo.data.annotations import LabelledSet
from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.network_config import BACKBONES, NetworkConfig
from lcageo.plural import plural
from lcageo.runtime.catalog import FOLDER_CARD, ModelCard, find_card, write_card
from lcageo.runtime.selection import of_possible_size
from lcageo.training.config import CHECKPOINT_FILE, RECIPE_FILE, TrainConfig, recipe_entries
from lcageo.training.data import TrainingData, largest_object_px, seen_gsd_m
from lcageo.training.log import EVENTS_FOLDER, METRICS_FILE
from lcageo.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

LAST = "last"
"""Name of the newest model's folder, in a run's folder."""
_OF_A_RUN = (FOLDER_CARD, "model-*.safetensors", CHECKPOINT_FILE, METRICS_FILE, RECIPE_FILE)
CURVES_FILE, SHEET_FILE = "curves.png", "validation.png"
_PICTURES = (CURVES_FILE, SHEET_FILE)


def network_config(config: TrainConfig, num_classes: int) -> NetworkConfig:
    """The network to train: that of the model to start from, or as the settings say."""
    if config.start_from:
        return replace(find_card(config.start_from).own_network, num_classes=num_classes)
    return config.network(num_classes)


def new_card(config: TrainConfig, network: NetworkConfig, data: TrainingData, name: str) -> ModelCard:
    """The card of the model in training; its weights, thresholds and metrics come with `publish`."""
    start = find_card(config.start_from) if config.start_from else None
    family = BACKBONES[network.backbone]
    boxes = sum(len(annotation) for annotation in data.train.annotations)
    trained_on = f"{data.train.name}: {plural(len(data.train), 'image')}, {plural(boxes, 'box')}"
    licence, restriction = config.licence, config.restriction
    origin: dict[str, Any] = {}
    pretrained = family.pretrained if config.pretrained else None
    if pretrained is not None:
        trained_on += f"; backbone pretrained on {pretrained.trained_on}"
        licence += f"; {pretrained.credit}"
        origin["backbone_sha256"] = pretrained.sha256
    if start is not None:
        trained_on += f"; started from {start.name} ({start.trained_on})"
        if start.licence != licence:
            licence += f"; started from {start.name} ({start.licence})"
        restriction = "; ".join(dict.fromkeys(filter(None, (restriction, start.restriction))))
        if start.has_fixed_statistics:
            origin["fixed_statistics"] = True
    return ModelCard(
        name=name,
        network=network,
        classes=data.classes,
        tile_size=config.imgsz,
        gsd_m=config.gsd_m
        or seen_gsd_m(data.train.annotations, config)
        or (start.gsd_m if start else TrainConfig.DEFAULT_GSD_M),
        mean=start.mean if start else family.mean,
        std=start.std if start else family.std,
        weights=Path("model.safetensors"),
        sha256="0" * 64,
        licence=licence,
        restriction=restriction,
        trained_on=trained_on,
        largest_object_px=largest_object_px(data.train.annotations, config),
        lengths_px=start.lengths_px if start else None,
        size_m=_possible_sizes(start, data.train) if start else {},
        recipe={**recipe_entries(config), **origin, "version": __version__, **_commit()},
    )


def _possible_sizes(start: ModelCard, labelled: LabelledSet) -> dict[str, tuple[float, float]]:
    """The lengths that the model to start from expects, of classes whose labels all agree with them.

    A class without a label of known size has no limits: under the same name it may mean other objects.
    """
    own = np.array([start.classes.index(name) if name in start.size_m else -1 for name in labelled.classes])
    agreeing, refuted = set[int](), set[int]()
    for annotation in labelled.annotations:
        if annotation.gsd_m is None:
            continue
        labels = own[annotation.labels]
        every = Detections(annotation.boxes_xyxy, np.ones(len(labels), np.float32), labels)
        whole = every.selected((labels >= 0) & ~annotation.difficult)  # most of a difficult one is cut off
        pixel_m = (annotation.gsd_m, annotation.gsd_m)
        possible = of_possible_size(whole, start, pixel_m, annotation.width, annotation.height)
        agreeing.update(possible.labels.tolist())
        counts = [np.bincount(one.labels, minlength=len(start.classes)) for one in (whole, possible)]
        refuted.update(np.flatnonzero(counts[0] > counts[1]).tolist())
    return {start.classes[label]: start.size_m[start.classes[label]] for label in sorted(agreeing - refuted)}


def publish(card: ModelCard, weights: Mapping[str, Tensor], folder: Path) -> ModelCard:
    """Writes weights, then the card that names them, then removes the previous weights; returns that card.

    Weights are named by their content, so that a card never refers to other weights, whenever the run is killed.

    Raises:
        OutputError: if something cannot be written; the previous model is then intact.
    """
    import safetensors.torch  # imports torch, which takes seconds

    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.items()})
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"model-{digest[:12]}.safetensors"
    card = replace(card, weights=path.absolute(), sha256=digest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(content)
            part.replace(path)
        update_card(card, folder)
        for old in (*folder.glob("model-*.safetensors"), *folder.glob("model-*.part")):  # the latter of a killed run
            if old.name != path.name:
                old.unlink()
    except OSError as error:
        raise OutputError(f"the model cannot be written to '{folder}': {error}") from error
    return card


def update_card(card: ModelCard, folder: Path) -> None:
    """Replaces the card of a folder, atomically."""
    part = folder / f"{FOLDER_CARD}.part"
    write_card(card, part)
    part.replace(folder / FOLDER_CARD)


def prepare_folder(out: Path, fresh: bool) -> None:
    """Creates the folder of a run; if `fresh`, removes the files of an earlier run from it, and nothing else.

    Raises:
        OutputError: if it cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if fresh:
            _clear(out)
    except OSError as error:
        raise OutputError(f"the run's folder '{out}' cannot be created: {error.strerror}") from error


def holds_run(out: Path) -> bool:
    """Whether a folder holds a run, or a model, which a run would replace."""
    places = (out, out / LAST)
    return any(next(place.glob(pattern), None) is not None for place in places for pattern in _OF_A_RUN)


def holds_model(out: Path) -> bool:
    """Whether a run's folder holds a model."""
    return any((place / FOLDER_CARD).exists() for place in (out, out / LAST))


def _clear(out: Path) -> None:
    if not holds_run(out):
        return  # whatever has the names of pictures here is of something else
    parts = tuple(f"{pattern}.part" for pattern in _OF_A_RUN)
    events = f"{EVENTS_FOLDER}/events.out.tfevents.*"
    for folder in (out, out / LAST):
        for pattern in (*_OF_A_RUN, *_PICTURES, *parts, "model-*.part", events):
            for path in folder.glob(pattern):
                path.unlink()


def _commit() -> dict[str, Any]:
    """Commit of the checkout that this code is in, if it is one."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return {}
    try:
        git = subprocess.run(
            ["git", "-C", str(package), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": git.stdout.strip()}
