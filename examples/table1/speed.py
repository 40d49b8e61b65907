"""Inference speed of all systems' networks, in images per second."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lcageo.config import BENCHMARK, Backend, Precision
from lcageo.data.annotations import LabelledSet
from lcageo.data.dataset import EvalDataset
from lcageo.evaluation.images import kept_of_tiles
from lcageo.runtime import machine
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor

SPEED_FILE = "speed.json"
"""File name, beside the table."""
TIMED_IMAGES, ROUNDS = 32, 5
"""Number of images and rounds; a system's fastest round counts."""


def measure_speed(models: Mapping[str, Path], val: LabelledSet, device: str, out: Path) -> None:
    """Times networks on the first images of a set, and writes `SPEED_FILE`.

    Postprocessing is not timed: it takes longer the more boxes have a score just above zero, so that a system would be
    slower the less it is trained. Each round goes through all models, so that other load on the machine affects all
    alike. `lcageo bench` measures complete models, but needs the geospatial packages, which a GPU node may lack.

    Args:
        models: model folders by system name, all with the same image size.
        val: the images.
        device: the device to run on.
        out: the folder to write into.
    """
    kept = kept_of_tiles(BENCHMARK)
    predictors = {
        name: load_predictor(find_card(str(model)), kept, device, Backend.TORCH, Precision.FP32)
        for name, model in models.items()
    }
    one = next(iter(predictors.values()))
    images = EvalDataset(val, one.card.tile_size, enlarge=one.card.enlarges, fill=one.card.fill)
    tiles = np.stack([images[index].image.numpy() for index in range(min(TIMED_IMAGES, len(val)))])
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for round_ in range(1 + ROUNDS):
        for name, predictor in predictors.items():
            started = time.perf_counter()
            for start in range(0, len(tiles), predictor.batch):
                predictor.forward(tiles[start : start + predictor.batch])
            if round_:  # GPUs choose kernels in the first round
                seconds[name].append(time.perf_counter() - started)
    on_gpu = one.engine.device.startswith("cuda")
    where = torch.cuda.get_device_name(one.engine.device) if on_gpu else f"{machine.cores()} cores"
    found: dict[str, Any] = {
        "machine": f"{one.engine}, {where}",
        "images_per_second": {name: len(tiles) / min(taken) for name, taken in seconds.items()},
    }
    (out / SPEED_FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def read_speed(out: Path) -> dict[str, Any]:
    """The measured speeds, or an empty result if there are none."""
    path = out / SPEED_FILE
    return json.loads(path.read_text("utf-8")) if path.exists() else {"machine": None, "images_per_second": {}}
