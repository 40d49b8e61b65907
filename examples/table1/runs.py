"""A run: one system with one seed, trained and evaluated once, in its own folder."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from agreement import measure_agreement
from dense import DenseModel
from parts import Measured, measure_parts
from variants import USUAL, Metric, assigning_by

from lcageo.config import BENCHMARK, Backend, Precision
from lcageo.data.annotations import LabelledSet
from lcageo.detections import Detections
from lcageo.detector.count import count_params, paper_flops, true_macs
from lcageo.detector.presets import build_network
from lcageo.errors import DataError, UsageError
from lcageo.evaluation.images import evaluate_found, find_objects, kept_of_tiles
from lcageo.metrics.bootstrap import Resampled
from lcageo.network_config import Preset
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.training.checkpoint import load_checkpoint
from lcageo.training.config import CHECKPOINT_FILE, RECIPE_FILE, TrainConfig, read_recipe, recipe_entries
from lcageo.training.data import TrainingData
from lcageo.training.log import METRICS_FILE, read_metrics
from lcageo.training.loop import Listener, RunOptions, train
from lcageo.training.model_folder import LAST
from lcageo.training.validation import Validation

RESULT_FILE = "result.json"
"""Results in a run's folder; it exists once the run is finished."""
FOUND_FILE = "detections.npz"
"""Detections in each validation image, beside the results."""
METRICS = {"mAP50": "map50", "mAP75": "map75", "mAP50_95": "map50_95"}
"""Names of the metrics, in files and in Python."""
RESAMPLES = 1000
CURVE_IMAGES = 128
"""Maximum number of images for the validations during training, evenly taken; the results are of all images."""


@dataclass(frozen=True, slots=True)
class System:
    """A row of the table."""

    name: str
    preset: Preset
    geometric_warmup: float = 0.0
    metric: Metric = USUAL
    """What LCA-SA assigns by."""


@dataclass(frozen=True, slots=True)
class Run:
    """A system with a seed."""

    system: System
    seed: int
    config: TrainConfig
    folder: Path

    @property
    def model(self) -> Path:
        """The folder of its last weights."""
        return self.folder / LAST

    @property
    def is_plain(self) -> bool:
        """Whether its system is a preset, and not a variant of one, which has the same network."""
        return self.system.name == self.system.preset

    @property
    def is_finished(self) -> bool:
        """Whether the run has its results."""
        return (self.folder / RESULT_FILE).exists()

    def refuse_other_settings(self) -> None:
        """Refuses to continue a run with other settings: rows are comparable only with the same settings.

        Raises:
            UsageError: if the folder holds a run with other settings.
        """
        path = self.folder / RECIPE_FILE
        if not path.exists():
            return
        before, now = recipe_entries(read_recipe(path)), recipe_entries(self.config)
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                raise UsageError(
                    f"the run in '{self.folder}' has {name} = {before.get(name)!r}, not {now.get(name)!r}; "
                    "restore the setting or choose another --out"
                )


@contextmanager
def claimed(run: Run) -> Iterator[bool]:
    """Whether this process may perform a run, which no other may until the end of the context, or of this process."""
    run.folder.mkdir(parents=True, exist_ok=True)
    # A database's lock, as it ends with the process that holds it, however that dies, on all systems.
    with closing(sqlite3.connect(run.folder / "lock", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            yield False
        else:
            yield True


def runs_in(out: Path, config: TrainConfig) -> list[Run]:
    """The finished runs in a folder, whichever process made them, in the table's order.

    Args:
        out: the folder.
        config: the settings that all runs share.
    """
    runs = []
    for path in out.glob(f"*/{RESULT_FILE}"):
        facts, kept = json.loads(path.read_text("utf-8")), read_recipe(path.with_name(RECIPE_FILE))
        own = {"preset": kept.preset, "seed": kept.seed, "geometric_warmup": kept.geometric_warmup}
        system = System(facts["system"], kept.preset, kept.geometric_warmup)
        runs.append(Run(system, kept.seed, config.changed(own), path.parent))
    order = list(Preset)

    def place(run: Run) -> tuple[bool, int, str, int]:
        """The plain systems first, as in the paper."""
        return not run.is_plain, order.index(run.system.preset), run.system.name, run.seed

    return sorted(runs, key=place)


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A finished run and its results."""

    run: Run
    facts: dict[str, Any]
    """Content of its result.json."""
    resampled: Resampled
    """Metrics of its detections on resampled images, the same for all runs."""
    parts: dict[str, Measured]
    """Metrics of its detections on parts of the set."""
    steps: tuple[int, ...]
    """Training steps of its validations."""
    curves: dict[str, tuple[float, ...]]
    """Metrics of its validations, by METRICS."""


def perform(run: Run, data: TrainingData, options: RunOptions, say: Callable[[str], object]) -> None:
    """Trains or resumes a run, then evaluates its last weights.

    The last, not the best of several validations: choosing on the evaluated images would favour noisy curves.

    Raises:
        LcageoError: see `train`.
    """

    def report(validation: Validation) -> None:
        found = validation.evaluation
        say(f"{run.folder.name}: step {validation.step:,}, mAP50 {found.map50:.3f}, mAP75 {found.map75:.3f}")

    listener = Listener(note=lambda line: say(f"{run.folder.name}: {line}"), validated=report)
    with assigning_by(run.system.metric):
        some = replace(data, val=evenly_taken(data.val, CURVE_IMAGES))
        train(run.config, some, run.folder, options, resume=True, listener=listener)
        facts, found = _results(run, data.val, options.device)
    _write_found(data.val, found, run.folder / FOUND_FILE)
    part = run.folder / f"{RESULT_FILE}.part"
    part.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    part.replace(run.folder / RESULT_FILE)  # last and atomically: it marks the run as finished


def evenly_taken(labelled: LabelledSet, count: int) -> LabelledSet:
    """At most `count` images of a set, evenly over it."""
    which = np.linspace(0, len(labelled) - 1, min(count, len(labelled))).round().astype(int).tolist()
    return replace(labelled, annotations=tuple(labelled.annotations[index] for index in which))


def _results(run: Run, val: LabelledSet, device: str) -> tuple[dict[str, Any], list[Detections]]:
    """The content of result.json for a trained run, and its detections in each image."""
    card = find_card(str(run.model))
    predictor = load_predictor(card, kept_of_tiles(BENCHMARK), device, Backend.TORCH, Precision.FP32)
    found = find_objects(predictor, val)
    evaluation = evaluate_found(val, found).as_json()
    state = load_checkpoint(run.folder / CHECKPOINT_FILE)
    facts = {
        "system": run.system.name,
        "seed": run.seed,
        "steps": state["step"],
        "train_seconds": state["seconds"],
        "precision": state["precision"],
        **_counts(run.config, card),
        **{name: evaluation[name] for name in METRICS},
        "per_class": evaluation["per_class"],
        "agreement": measure_agreement(DenseModel(card, device), val, found).figures,
    }
    return facts, found


def read_finished(run: Run, val: LabelledSet) -> Finished:
    """Reads the results of a finished run.

    Raises:
        DataError: if it was evaluated on other images.
    """
    facts = json.loads((run.folder / RESULT_FILE).read_text("utf-8"))
    found = _read_found(val, run.folder / FOUND_FILE)
    rows = [row for row in read_metrics(run.folder / METRICS_FILE) if row["mAP50"]]
    evaluation = evaluate_found(val, found)
    return Finished(
        run,
        facts,
        evaluation.resampled(RESAMPLES),
        measure_parts(evaluation.matches, set_names(val)),
        tuple(int(row["step"]) for row in rows),
        {name: tuple(float(row[name]) for row in rows) for name in METRICS},
    )


def _counts(config: TrainConfig, card: ModelCard) -> dict[str, int]:
    """Trainable parameters, and operations for one image at evaluation size."""
    with torch.device("meta"):
        network = build_network(card.own_network)
    if config.frozen_stages is not None:
        network.backbone.freeze(config.frozen_stages)
    side = config.imgsz
    return {
        "params": count_params(network),
        "paper_flops": paper_flops(network, side, side),
        "true_macs": true_macs(network, side, side),
    }


def set_names(val: LabelledSet) -> list[str]:
    """The set of each image: the name of the folder that holds it, or its `images`."""
    folders = [annotation.image.parent for annotation in val.annotations]
    return [folder.parent.name if folder.name == "images" else folder.name for folder in folders]


def _names(val: LabelledSet) -> list[str]:
    return [annotation.image.name for annotation in val.annotations]


def _write_found(val: LabelledSet, found: list[Detections], path: Path) -> None:
    every = Detections.joined(found)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            images=np.array(_names(val)),
            counts=np.array([len(one) for one in found]),
            boxes_xyxy=every.boxes_xyxy.astype(np.float32),  # rounds by less than 0.0001 pixels
            scores=every.scores,
            labels=every.labels,
        )


def _read_found(val: LabelledSet, path: Path) -> list[Detections]:
    with np.load(path, allow_pickle=False) as kept:
        if kept["images"].tolist() != _names(val):
            raise DataError(
                f"'{path}' was made from other images than '{val.name}'; restore those or choose another --out"
            )
        every = Detections(kept["boxes_xyxy"].astype(np.float64), kept["scores"], kept["labels"])
        ends = kept["counts"].cumsum().tolist()
    return [every.selected(slice(start, end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
