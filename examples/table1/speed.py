"""Inference speed of all systems' networks, in images per second."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lcageo.config import BENCHMARK
from lcageo.data.dataset import EvalDataset
from lcageo.detector.presets import build_network
from lcageo.runtime import machine
from lcageo.runtime.selection import Selection
from lcageo.runtime.torch_backend import TorchPredictor, torch_device
from lcageo.training.config import TrainConfig
from lcageo.training.data import TrainingData
from lcageo.training.model_folder import network_config, new_card

SPEED_FILE = "speed.json"
"""File name, beside the table."""
TIMED_IMAGES, ROUNDS = 32, 5
"""Number of images and rounds; a system's fastest round counts."""


def measure_speed(systems: Mapping[str, TrainConfig], data: TrainingData, device: str, out: Path) -> None:
    """Times networks on the first validation images, in float32, and writes `SPEED_FILE`.

    Their weights are untrained, since the time does not depend on them: postprocessing, whose time does (the more boxes
    have a score just above zero, the longer it takes), is not timed. Each round goes through all networks, so that
    other load on the machine affects all alike. `lcageo bench` measures complete models, but needs the geospatial
    packages, which a GPU node may lack.

    Args:
        systems: settings by system name, all with the same image size.
        data: images and classes.
        device: the device to run on.
        out: the folder to write into.
    """
    predictors = {name: _untrained(name, config, data, device) for name, config in systems.items()}
    one = next(iter(predictors.values()))
    images = EvalDataset(data.val, one.card.tile_size, enlarge=one.card.enlarges, fill=one.card.fill)
    tiles = np.stack([images[index].image.numpy() for index in range(min(TIMED_IMAGES, len(data.val)))])
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
    out.mkdir(parents=True, exist_ok=True)
    (out / SPEED_FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _untrained(name: str, config: TrainConfig, data: TrainingData, device: str) -> TorchPredictor:
    settings = network_config(config, len(data.classes))
    card = new_card(config, settings, data, name)
    return TorchPredictor(card, build_network(settings), Selection.of(card, BENCHMARK), torch_device(device))


def read_speed(out: Path) -> dict[str, Any]:
    """The measured speeds, or an empty result if there are none."""
    path = out / SPEED_FILE
    return json.loads(path.read_text("utf-8")) if path.exists() else {"machine": None, "images_per_second": {}}
