"""Speed-up by a cluster: measured for one and two workers, predicted from its parts for more.

    OMP_NUM_THREADS=1 python tests/benchmarks/cluster.py [--side 6000] [--workers 1 2] [--storage 1000]

Runs the default model on a generated scene (JPEG-compressed, tiled) with --cluster local:N. Then the parts are timed
alone and combined in a cost model:

    seconds(N) = plan + units / N * work + max(0, units * client - the workers' time) + merge + write

`work` is a worker's time for a unit of tiles, with reading hidden behind inference; `client` is the client's time for a
unit (submit, gather, journal), in parallel to the workers until they are too many. The client also merges and writes at
the end. Workers share a storage that delivers at most --storage MB/s in all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.inference.cluster import UNIT_BATCHES, cluster_runner
from lcageo.inference.journal import Journal
from lcageo.inference.plan import plan_scene
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import merge, run_tiles
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.scene.raster import open_scene
from lcageo.scene.tiles import Tile
from lcageo.vector.features import feature_parts
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

sys.path.insert(0, str(Path(__file__).resolve().parent))
from memory import write_large_scene

PREDICTED = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
OBJECTS = 40
"""Number of objects per tile, for timing merging and writing."""
LARGE_TILES = 500_000
"""Number of tiles in a scene of 100 gigapixels, with tiles of 576 pixels and an overlap of 25 %."""


def measured(scene: Path, workers: int) -> float:
    """Seconds that `detect` reports with this number of workers, without their start."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    options = ["--cluster", f"local:{workers}", "--json", "-q", "--overwrite", "-o", str(scene.with_suffix(".gpkg"))]
    command = [sys.executable, "-m", "lcageo", "detect", str(scene), *options]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)[0]["seconds"])


def parts(scene: Path) -> dict[str, float]:
    """Seconds of each part, measured in this process."""
    card, config = find_card(None), DetectConfig()
    size = UNIT_BATCHES * 2
    with open_scene(scene) as opened:
        started = time.monotonic()
        plan = plan_scene(opened, card, config)
        planned = time.monotonic() - started
        tiles = np.arange(min(size, len(plan.grid)))
        runner = LocalRunner(load_predictor(card, config, "cpu"))
        with Journal.in_memory() as journal:
            plan.wanted[:] = False
            plan.wanted[tiles] = True
            started = time.monotonic()
            run_tiles(plan, runner, journal, print, lambda at: None, None)
            work = (time.monotonic() - started) / len(tiles)
        rng, every = np.random.default_rng(0), np.arange(len(plan.grid))
        plan.wanted[:] = True
        with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder) / "journal", {}) as journal:
            started = time.monotonic()
            for unit in np.array_split(every, max(1, len(every) // size)):
                journal.add([_outcome(plan.grid[index], card.tile_size, rng) for index in unit.tolist()])
            journalled = (time.monotonic() - started) / len(every)
            started = time.monotonic()
            merge(plan, config, journal)
            merged = (time.monotonic() - started) / len(plan.grid)
            started, info = time.monotonic(), opened.info
            layer = feature_parts(journal.objects(), card.classes, info.georeference.to_map, info.georeference.crs, "a")
            write_layer(layer, RunRecord(), FileTarget.of(Path(folder) / "a.gpkg"))
            objects = sum(journal.counts([0.0] * len(card.classes)))
            written = (time.monotonic() - started) / len(plan.grid)
    return {
        "tiles": len(plan.grid), "plan": planned,
        "tile's work": work, "tile's merging": merged, "tile's writing": written,
        "unit's client": round_trip() + journalled * size, "tiles a unit": float(size),
        "objects a tile": objects / len(plan.grid),
    }  # fmt: skip


def _outcome(tile: Tile, side: int, rng: np.random.Generator) -> TileOutcome:
    """A tile with OBJECTS objects at random positions."""
    corners = rng.uniform(0, side - 30, (OBJECTS, 2))
    boxes = np.concatenate([corners, corners + 20], axis=1)
    found = Detections(boxes, rng.random(OBJECTS).astype(np.float32), rng.integers(0, 10, OBJECTS))
    return TileOutcome(tile.index, tile.to_scene(found))


def round_trip() -> float:
    """Seconds of client and scheduler per empty task."""
    with cluster_runner("local:2", find_card(None), DetectConfig(), "cpu", None) as runner:
        client = runner._client
        started = time.monotonic()
        client.gather([client.submit(len, str(number), pure=False) for number in range(1000)])
        return (time.monotonic() - started) / 1000


def predicted(
    tiles: int, workers: int, part: dict[str, float], storage: float, tile_megabytes: float
) -> dict[str, float]:
    """Predicted seconds of each part, for a number of tiles and workers."""
    units = tiles / part["tiles a unit"]
    working = tiles * part["tile's work"] / workers
    return {
        "workers": working,
        "client": max(0.0, units * part["unit's client"] - working),
        "storage": max(0.0, tiles * tile_megabytes / storage - working),
        "merge and write": tiles * (part["tile's merging"] + part["tile's writing"]),
        "plan": part["plan"],
    }


def main() -> None:
    """Prints measured and predicted times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--storage", type=float, default=1000.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        write_large_scene(scene, arguments.side, arguments.side)
        part = parts(scene)
        tiles = int(part["tiles"])
        megabytes = scene.stat().st_size / 1e6 / tiles
        for name, value in part.items():
            print(f"{name:>18} {value:10.4f}")
        print(f"{'MB a tile':>18} {megabytes:10.4f}\n\n{'workers':>8} {'seconds':>8} {'predicted':>10}")
        for workers in arguments.workers:
            seconds = sum(predicted(tiles, workers, part, arguments.storage, megabytes).values())
            print(f"{workers:8} {measured(scene, workers):8.1f} {seconds:10.1f}", flush=True)
    print(f"\n{LARGE_TILES:,} tiles (100 gigapixels), seconds")
    print(f"{'workers':>8} {'all':>10} {'gain':>6}  " + "  ".join(predicted(1, 1, part, 1, 0)))
    alone = sum(predicted(LARGE_TILES, 1, part, arguments.storage, megabytes).values())
    for workers in PREDICTED:
        seconds = predicted(LARGE_TILES, workers, part, arguments.storage, megabytes)
        whole = sum(seconds.values())
        shares = "  ".join(f"{value:{len(name)}.0f}" for name, value in seconds.items())
        print(f"{workers:8,} {whole:10,.0f} {alone / whole:6.1f}  {shares}")


if __name__ == "__main__":
    main()
