"""Speed-up by a cluster: the client's and the workers' time a tile measured, more workers predicted from them.

    OMP_NUM_THREADS=1 python tests/benchmarks/cluster.py [--side 6000] [--synthetic 30000] [--format parquet]

On an otherwise idle machine. Three steps:

1. The client: two real workers return random objects in place of the model's, OBJECTS a tile, for a scene of
   --synthetic x --synthetic pixels. The CPU time of this process, the client, is measured for running the tiles
   (submit, gather, journal), merging and writing; that of the scheduler's process, which works beside it; and that of
   merging and encoding, which workers do.
2. The workers: the default model on a generated scene (JPEG-compressed, tiled) of --side x --side pixels on one worker
   gives its time a tile. Two workers are predicted from the same beside a process that runs the model all the time,
   since cores of one machine share caches and memory, and then measured. The prediction should be within 15 %.
3. One scene of 100 gigapixels, predicted for 1 to 2,000 workers, each with its own core:

    seconds(N) = plan + busiest worker's tiles * work + max(0, max(client, scheduler) - the former)
                 + max(client's merging, workers' merging / N) + max(client's writing, workers' encoding / N)

The tiles of the busiest worker follow from the units of work, each of which goes to the first idle worker. At most
MAPPED workers merge or encode at a time.
"""

from __future__ import annotations

import argparse
import heapq
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import psutil
from distributed.deploy.subprocess import SubprocessCluster
from numpy.typing import NDArray

from lcageo.config import Backend, DetectConfig, Engine, Passes, Precision
from lcageo.detections import Detections
from lcageo.inference import cluster
from lcageo.inference.cluster import MAPPED, UNIT_BATCHES, ClusterRunner, cluster_runner
from lcageo.inference.cluster_worker import ModelWork, SceneWork, engine_of, run_unit, tapered, units
from lcageo.inference.plan import ScenePlan, plan_scene
from lcageo.inference.runner import Map, map_here
from lcageo.inference.scene import merge
from lcageo.journal.journal import Journal
from lcageo.journal.tile_outcomes import TileOutcomes
from lcageo.runtime.catalog import find_card
from lcageo.scene.raster import open_scene
from lcageo.scene.tiles import TileGrid, plan_tiles
from lcageo.vector.features import numbered
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import Encoding, encoded_objects, write_encoded

sys.path.insert(0, str(Path(__file__).resolve().parent))
from memory import write_large_scene

PREDICTED = (1, 2, 10, 32, 100, 320, 1000, 2000)
OBJECTS = 40
"""Number of objects per tile, for timing merging and writing; at random places, so that nearly all are kept."""
LARGE_SIDE = 316_228
"""Side of a scene of 100 gigapixels."""
ENGINE = Engine(Backend.AUTO, Precision.AUTO, "cpu")


@dataclass(frozen=True, slots=True)
class Parts:
    """Seconds a tile, of CPU time but for `work`."""

    running: float
    """Of the client, for submitting, gathering and recording."""
    merging: float
    """Of the client."""
    writing: float
    """Of the client."""
    merging_work: float
    """Of a worker."""
    encoding_work: float
    """Of a worker."""
    scheduler: float
    """Of the scheduler, for all of these."""
    work: float = 0.0
    """Of a worker that reads and runs the model, by the clock."""
    work_cpu: float = 0.0
    """Likewise, its CPU time."""
    plan: float = 0.0
    """Seconds in all, by the clock."""

    @property
    def client(self) -> float:
        """Of the client in all."""
        return self.running + self.merging + self.writing


def random_unit(
    work: SceneWork, model: ModelWork, batch: int, tiles: NDArray[np.int64]
) -> tuple[TileOutcomes, list[str]]:
    """Stands for `cluster_worker.run_unit`: the same, with random objects."""
    return random_outcomes(work.grid, tiles), []


def random_outcomes(grid: TileGrid, tiles: NDArray[np.int64]) -> TileOutcomes:
    """OBJECTS objects of each tile."""
    rng, count = np.random.default_rng(int(tiles[0])), OBJECTS * len(tiles)
    corners = rng.uniform(0, grid.tile_width - 30, (count, 2)) * grid.scale[0]
    corners += np.repeat(grid.bounds(tiles)[:, :2], OBJECTS, axis=0)
    boxes = np.concatenate([corners, corners + 20], axis=1)
    found = Detections(boxes, rng.random(count).astype(np.float32), rng.integers(0, 10, count))
    none = np.zeros(len(tiles), np.int32)
    return TileOutcomes(tiles, np.full(len(tiles), OBJECTS, np.int32), none, np.zeros(len(tiles)), found)


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU time of this process, all threads."""
    started = time.process_time()
    function()
    return time.process_time() - started


@contextmanager
def workers_of(count: int, config: DetectConfig) -> Iterator[tuple[ClusterRunner, psutil.Process]]:
    """A runner on this number of workers that have loaded the model, and the process of their scheduler."""
    card = find_card(None)
    processes = {"n_workers": count, "threads_per_worker": 1, "worker_class": "distributed.Worker"}
    with (
        SubprocessCluster(**processes, silence_logs=logging.CRITICAL) as workers,
        cluster_runner(workers.scheduler_address, card, config, ENGINE, None) as runner,
    ):
        runner._client.wait_for_workers(count)
        runner._client.run(engine_of, ModelWork(card, config, ENGINE))
        runner._client.run(import_module, "lcageo.vector.write")  # half a second, once for each worker
        yield runner, psutil.Process(workers.scheduler.process.pid)


def run_all(runner: ClusterRunner, plan: ScenePlan, journal: Journal) -> None:
    """Runs all tiles and records them."""
    for outcomes in runner.run(plan, np.arange(len(plan.grid)), print):
        journal.add(outcomes)


def write(plan: ScenePlan, journal: Journal, path: Path, each: Map) -> None:
    """Writes the journal's objects."""
    place, target = plan.reader.scene.info.georeference, FileTarget.of(path)
    encoding = Encoding(find_card(None).classes, place.to_map, place.crs, "scene", target.vector_format)
    write_encoded(each(encoded_objects, encoding, numbered(journal.objects())), RunRecord(), target)


def client_parts(plan: ScenePlan, side: int, suffix: str, config: DetectConfig) -> Parts:
    """Step 1."""
    size = plan.grid.tile_width
    grid = plan_tiles(side, side, size, size // 4)
    plan, tiles = replace(plan, grid=grid, wanted=np.ones(len(grid), np.bool_), further=()), len(grid)
    cluster.run_unit = random_unit  # type: ignore[assignment]
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal.open(Path(folder) / "journal", {}) as journal,
        workers_of(2, config) as (runner, scheduler),
    ):
        before = sum(scheduler.cpu_times()[:2])
        running = cpu_seconds(lambda: run_all(runner, plan, journal))
        merging = cpu_seconds(lambda: merge(plan, config, journal, None, runner.map))
        writing = cpu_seconds(lambda: write(plan, journal, Path(folder) / f"a.{suffix}", runner.map))
        scheduling = sum(scheduler.cpu_times()[:2]) - before
        alone = cpu_seconds(lambda: merge(plan, config, journal, None, map_here))
        encoding = cpu_seconds(lambda: write(plan, journal, Path(folder) / f"b.{suffix}", map_here))
        objects = sum(journal.counts([0.0] * 10))
    cluster.run_unit = run_unit  # type: ignore[attr-defined]
    print(f"{tiles:,} tiles with {objects / tiles:.1f} objects each, .{suffix}; milliseconds a tile")
    seconds = running, merging, writing, max(0.0, alone - merging), max(0.0, encoding - writing), scheduling
    return Parts(*(value / tiles for value in seconds))


@contextmanager
def other_core_busy() -> Iterator[None]:
    """Runs the model on one thread in a process of its own meanwhile."""
    code = (
        "import numpy as np; from lcageo.config import *; from lcageo.runtime.catalog import find_card; "
        "from lcageo.runtime.predictor import load_predictor; "
        "one = load_predictor(find_card(None), DetectConfig(), 'cpu'); "
        "tile = np.zeros((1, 3, 1120, 1120), np.uint8); print(flush=True)\n"
        "while True: one.predict(tile)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # the model is loaded
            yield
        finally:
            process.kill()


def timed_run(plan: ScenePlan, workers: int, suffix: str, config: DetectConfig) -> tuple[float, float, float]:
    """Seconds of a real run with the model on local workers: of all, of its tiles, and of these the CPU time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal.open(Path(folder) / "journal", {}) as journal,
        workers_of(workers, config) as (runner, _),
    ):
        # Each worker loads the graph for the tiles of this scene once, which a large scene does not notice.
        first = SceneWork.of(plan), ModelWork(find_card(None), config, ENGINE), runner.batch, np.arange(runner.batch)
        runner._client.run(run_unit, *first)
        before, started = sum(runner._client.run(time.process_time).values()), time.monotonic()
        run_all(runner, plan, journal)
        running = time.monotonic() - started
        cpu = sum(runner._client.run(time.process_time).values()) - before
        merge(plan, config, journal, None, runner.map)
        write(plan, journal, Path(folder) / f"a.{suffix}", runner.map)
        return time.monotonic() - started, running, cpu


def predicted(grid: TileGrid, workers: int, part: Parts, batch: int, cores: float = math.inf) -> dict[str, float]:
    """Predicted seconds of each stage; `cores`: number that the workers and the client share, if they do."""
    tiles = len(grid)
    pieces = units(grid, np.arange(tiles), cluster.PER_WORKER * workers, UNIT_BATCHES * batch, whole_rows=False)
    loads = [0] * workers
    for piece in tapered(pieces, workers, batch):
        heapq.heapreplace(loads, loads[0] + len(piece))
    working = max(max(loads) * part.work, tiles * (part.work_cpu + part.running) / cores)
    helpers = min(workers, MAPPED, cores)
    return {
        "workers": working,
        "client": max(0.0, tiles * max(part.running, part.scheduler) - working),
        "merge": tiles * max(part.merging, part.merging_work / helpers),
        "write": tiles * max(part.writing, part.encoding_work / helpers),
        "plan": part.plan,
    }


def main() -> None:
    """Prints measured and predicted times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--synthetic", type=int, default=30_000)
    parser.add_argument("--format", default="parquet")
    arguments = parser.parse_args()
    config, cores = DetectConfig(passes=Passes.ONE), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        write_large_scene(path, arguments.side, arguments.side)
        with open_scene(path) as scene:
            started = time.monotonic()
            plan = plan_scene(scene, find_card(None), config)
            planned, tiles = time.monotonic() - started, len(plan.grid)
            part = client_parts(plan, arguments.synthetic, arguments.format, config)
            for name in ("running", "merging", "writing", "client", "scheduler", "merging_work", "encoding_work"):
                print(f"{name.replace('_work', ' (worker)'):>18} {getattr(part, name) * 1000:8.3f}", flush=True)
            _, alone, cpu = timed_run(plan, 1, arguments.format, config)
            part = replace(part, work=alone / tiles, work_cpu=cpu / tiles, plan=planned)
            with workers_of(1, config) as (runner, _):
                batch = runner.batch
            print(f"\nmodel, {tiles} tiles: {part.work:.3f} s a tile, {part.work_cpu:.3f} s of CPU, {batch} a batch")
            with other_core_busy():
                _, beside, cpu = timed_run(plan, 1, arguments.format, config)
            busy = replace(part, work=beside / tiles, work_cpu=cpu / tiles)
            print(f"beside another process: {busy.work:.3f} s a tile, {busy.work_cpu:.3f} s of CPU")
            two = {**predicted(plan.grid, 2, busy, batch, cores), "plan": 0.0}
            expected, measured = sum(two.values()), timed_run(plan, 2, arguments.format, config)[0]
            print(
                f"two workers, seconds: predicted {expected:.1f}, measured {measured:.1f} ({measured / expected:.2f})"
            )
    overlap = plan.grid.tile_width - plan.grid.col_starts[1]
    large = plan_tiles(LARGE_SIDE, LARGE_SIDE, plan.grid.tile_width, overlap)
    print(f"\n{len(large):,} tiles of {plan.grid.tile_width} pixels (100 gigapixels), .{arguments.format}, seconds")
    print(f"{'workers':>8} {'all':>10} {'gain':>6}  " + "  ".join(f"{name:>8}" for name in two))
    alone = sum(predicted(large, 1, part, batch).values())
    for workers in PREDICTED:
        seconds = predicted(large, workers, part, batch)
        whole = sum(seconds.values())
        shares = "  ".join(f"{value:8.0f}" for value in seconds.values())
        print(f"{workers:8,} {whole:10,.0f} {alone / whole:6.0f}  {shares}")


if __name__ == "__main__":
    main()
