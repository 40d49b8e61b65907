"""Benchmark of a model on this machine: how fast each backend is, and where its time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from lcageo.config import Backend, DetectConfig, Engine, Precision
from lcageo.errors import LcageoError, SceneError
from lcageo.inference.plan import plan_scene
from lcageo.inference.runner import IN_FLIGHT, LocalRunner
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import Predictor, load_engine
from lcageo.scene.raster import open_scene

FP32, BF16 = Precision.FP32, Precision.BF16
ROUNDS = 2
"""Number of runs over the same tiles; the fastest one counts."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Speed of one engine."""

    engine: Engine
    """The engine that ran; if it failed, the one that was requested."""
    tiles_per_second: float = 0.0
    """Throughput including the reading of tiles (of a scene) and the selection of objects."""
    model_share: float = 0.0
    """Time of the network alone, for the same batches, over the total time."""
    first_tile_s: float = 0.0
    """Seconds from the start of the interpreter to the objects of the first tile."""
    failure: str = ""
    """Why it could not be measured; empty if it was."""


def candidates(device: str, card: ModelCard) -> list[Engine]:
    """The engines of this machine that are worth measuring for a model; the device is named as by users."""
    if card.is_quantised:
        return [Engine(backend, Precision.INT8, "cpu") for backend in (Backend.OPENVINO, Backend.ONNX)]
    on_cpu = [
        Engine(Backend.OPENVINO, FP32, "cpu"),
        Engine(Backend.OPENVINO, BF16, "cpu"),
        Engine(Backend.ONNX, FP32, "cpu"),
    ]
    if card.is_graph:
        return on_cpu
    torch_backends = [Backend.TORCH, Backend.COMPILED]
    if not machine.stays_on_cpu(device):
        return [Engine(backend, precision, device) for backend in torch_backends for precision in (FP32, BF16)]
    return on_cpu + [Engine(backend, FP32, "cpu") for backend in torch_backends]


def measure_each(
    engines: list[Engine], card: ModelCard, scene: str | None, tiles: int, batch: int | None
) -> Iterator[Measurement]:
    """Measures engines one by one, each in its own process, so that none profits from another's imports."""
    for engine in engines:
        if not machine.has_package(engine.backend):
            yield Measurement(engine, failure=f"{machine.PACKAGE[engine.backend]} not installed")
            continue
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            yield process.submit(measure, engine, card, scene, tiles, batch, time.time()).result()


def measure(
    asked: Engine, card: ModelCard, scene: str | None, tiles: int, batch: int | None, started: float
) -> Measurement:
    """Measures one engine in this process.

    Args:
        asked: the engine.
        card: the model.
        scene: path of a raster whose first tiles are run; None: noise.
        tiles: number of tiles.
        batch: tiles run at a time; None: the engine's default.
        started: `time.time()` when this process was started.
    """
    try:
        predictor = load_engine(card, DetectConfig(), asked)
        size = batch or predictor.batch
        noise = np.random.default_rng(0).integers(0, 256, (size, 3, card.tile_size, card.tile_size), dtype=np.uint8)
        predictor.predict(noise[:1])
        first_tile_s = time.time() - started
        predictor.predict(noise)  # warm-up: GPUs choose kernels for each shape
        seconds = [
            _on_noise(predictor, noise, tiles) if scene is None else _on_scene(predictor, scene, tiles, size)
            for _ in range(ROUNDS)
        ]
    except LcageoError as error:
        return Measurement(asked, failure=str(error))
    network, total = (min(times) for times in zip(*(one[:2] for one in seconds), strict=True))
    count = seconds[0][2]
    return Measurement(predictor.engine, count / total, network / total, first_tile_s)


def _on_noise(predictor: Predictor, batch: NDArray[np.uint8], tiles: int) -> tuple[float, float, int]:
    """Seconds of the network alone, seconds in total, number of tiles."""
    times = -(-tiles // len(batch))
    network = _network_seconds(predictor, [batch] * times)
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        total = _seconds(lambda: list(threads.map(predictor.predict, [batch] * times)))
    return network, total, times * len(batch)


def _on_scene(predictor: Predictor, path: str, tiles: int, size: int) -> tuple[float, float, int]:
    """As in `_on_noise`, for tiles of a scene, read as `detect` reads them; those without data do not count."""
    with open_scene(path) as scene:
        plan = plan_scene(scene, predictor.card, DetectConfig())
        read = ((index, plan.reader.read(plan.grid[int(index)])) for index in np.flatnonzero(plan.wanted))
        seen = list(islice(((index, image) for index, image in read if image is not None), tiles))
        if not seen:
            raise SceneError(f"scene '{scene.info.path}' has no tile with data to measure with")
        todo, images = np.array([index for index, _ in seen]), [image for _, image in seen]
        batches = [np.stack(images[start : start + size]) for start in range(0, len(images), size)]
        network = _network_seconds(predictor, batches)
        runner = LocalRunner(predictor, size)
        total = _seconds(lambda: list(runner.run(plan, todo, lambda line: None)))
    return network, total, len(images)


def _network_seconds(predictor: Predictor, batches: list[NDArray[np.uint8]]) -> float:
    started = time.perf_counter()
    for batch in batches:
        predictor.forward(batch)
    return time.perf_counter() - started


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
