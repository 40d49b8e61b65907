"""Wall time of a run over a scene, compared with the network alone on the same batches, by size of the scene.

    python tests/benchmarks/pipeline.py [--sides 1000 2000 4000 8000 16000] [--backend openvino] [--model MODEL]
        [--compress none]

Each size runs in its own process on a generated, tiled scene, compressed as JPEG unless --compress says otherwise:
`lcageo detect --passes 1` as users run it, without the start of the interpreter. The lower bound is a bare loop of the
network over as many tiles of that size.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scenes_to_time import write_scene

BUILD = Path(__file__).resolve().parents[2] / "build" / "benchmarks"
SHARE = 8
"""One of this many batches is in the bare loop, half before the run and half after, as the machine's speed varies."""


def run_once(path: Path, model: str | None, backend: str) -> None:
    """Runs a scene in this process; prints megapixels, tiles, seconds, seconds of the bare loop, peak MB, objects."""
    import resource

    from lcageo.config import Backend, DetectConfig, Engine, Passes, Precision
    from lcageo.inference.jobs import Job
    from lcageo.inference.plan import plan_scene
    from lcageo.inference.run import run_jobs
    from lcageo.inference.runner import LocalRunner
    from lcageo.inference.scene import Run
    from lcageo.runtime.catalog import find_card
    from lcageo.runtime.predictor import load_engine
    from lcageo.scene.raster import open_scene
    from lcageo.vector.target import FileTarget

    config, card = DetectConfig(passes=Passes.ONE), find_card(model)
    with open_scene(str(path)) as scene:
        plan = plan_scene(scene, card, config)
    side = plan.reader.tile_size
    predictor = load_engine(card, config, Engine(Backend(backend), Precision.AUTO, "cpu"), side)
    runner = LocalRunner(predictor)
    batch = np.random.default_rng(0).integers(0, 256, (runner.batch_of(side), 3, side, side), dtype=np.uint8)
    predictor.predict(batch)

    def bare(batches: int) -> float:
        started = time.perf_counter()
        for _ in range(batches):
            predictor.forward(batch)
        return time.perf_counter() - started

    guess = max(4, round(len(plan.grid) / len(batch) / SHARE))
    before = bare(guess)
    job = Job(str(path), (FileTarget.of(path.with_suffix(".gpkg")),), None)
    started = time.perf_counter()
    (outcome,) = run_jobs([job], Run(runner, config, print))
    seconds = time.perf_counter() - started
    after = bare(guess)
    assert outcome.result is not None, outcome.error
    tiles = outcome.result.tiles.run
    floor = (before + after) / (2 * guess * len(batch)) * tiles
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(_megapixels(path), tiles, seconds, floor, peak, outcome.result.objects)


def _megapixels(path: Path) -> float:
    import rasterio

    with rasterio.open(path) as dataset:
        return dataset.width * dataset.height / 1e6


def main() -> None:
    """Prints a table and draws it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[1000, 2000, 4000, 8000, 16_000])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--model")
    parser.add_argument("--compress", default="jpeg")
    parser.add_argument("--plot", type=Path, default=BUILD / "cost_by_size.png")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run is not None:
        run_once(arguments.run, arguments.model, arguments.backend)
        return
    print(f"{'Mpx':>7} {'tiles':>6} {'s':>8} {'s/Mpx':>7} {'network s':>10} {'ratio':>6} {'peak MB':>8} {'objects':>8}")
    rows = []
    for side in arguments.sides:
        name = f"scene_{side}.tif" if arguments.compress == "jpeg" else f"scene_{side}_{arguments.compress}.tif"
        scene = write_scene(BUILD / name, side, arguments.compress)
        command = [sys.executable, __file__, "--run", str(scene), "--backend", arguments.backend]
        command += ["--model", arguments.model] if arguments.model else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        megapixels, tiles, seconds, floor, peak, objects = map(float, done[-6:])
        rows.append((megapixels, seconds, floor, peak))
        print(
            f"{megapixels:7.0f} {tiles:6.0f} {seconds:8.1f} {seconds / megapixels:7.3f} {floor:10.1f} "
            f"{seconds / floor:6.3f} {peak:8.0f} {objects:8.0f}",
            flush=True,
        )
        scene.with_suffix(".gpkg").unlink()
    draw(rows, arguments.plot)


def draw(rows: list[tuple[float, float, float, float]], path: Path) -> None:
    """Seconds a megapixel and peak memory against size."""
    from matplotlib.figure import Figure

    megapixels, seconds, floor, peak = np.array(rows).T
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    cost, memory = figure.subplots(1, 2)
    cost.plot(megapixels, seconds / megapixels, "o-", label="lcageo detect")
    cost.plot(megapixels, floor / megapixels, "s--", label="network alone")
    cost.set(xscale="log", xlabel="megapixels", ylabel="seconds per megapixel", ylim=(0, None))
    cost.legend()
    memory.plot(megapixels, peak, "o-")
    memory.set(xscale="log", xlabel="megapixels", ylabel="peak memory, MB", ylim=(0, None))
    figure.savefig(path, dpi=120)
    print(path)


if __name__ == "__main__":
    main()
