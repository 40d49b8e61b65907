"""Peak memory of a complete run against the size of the scene.

    python tests/benchmarks/memory.py [--sizes 3000 30000] [--sparse 200000] [--model FOLDER]

Each size runs in its own process on a generated, JPEG-compressed, tiled scene: detection, merging, writing. With
--sparse, also a scene of that side of which only the central 10,000 x 10,000 pixels are stored.
Without --model, the predictor is the tests' bright-square finder, so that reading and merging dominate.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import rasterio
from rasterio.windows import Window

HERE = Path(__file__).resolve().parent
BLOCK = 1024
STORED = 10_000
"""Side of the stored part of a sparse scene, pixels."""


def write_large_scene(path: Path, side: int, stored: int) -> None:
    """A tiled scene of side x side pixels with two bright squares in every block of 1,024 pixels of its stored part."""
    block = np.random.default_rng(0).integers(40, 110, (3, BLOCK, BLOCK), dtype=np.uint8)
    block[:, 100:130, 200:230] = 250
    block[:, 600:620, 700:720] = 250
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633",
        "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "tiled": True, "blockxsize": 512,
        "blockysize": 512, "compress": "jpeg", "photometric": "YCBCR", "bigtiff": "if_safer",
        "sparse_ok": stored < side, "nodata": 0 if stored < side else None,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        first = (side - stored) // 2 // BLOCK * BLOCK
        last = first + stored
        for row in range(first, last, BLOCK):
            for column in range(first, last, BLOCK):
                width, height = min(BLOCK, last - column), min(BLOCK, last - row)
                dataset.write(block[:, :height, :width], window=Window(column, row, width, height))


def run_once(path: Path, model: str | None) -> None:
    """Detects, merges and writes, in this process; prints peak MB, objects, total and planning seconds."""
    sys.path.insert(0, str(HERE.parent))
    from support.bright import BrightSquares, bright_card

    from lcageo.config import DetectConfig
    from lcageo.inference.jobs import Job
    from lcageo.inference.plan import plan_scene
    from lcageo.inference.run import run_jobs
    from lcageo.inference.runner import LocalRunner
    from lcageo.inference.scene import Run
    from lcageo.runtime.catalog import find_card
    from lcageo.runtime.predictor import Predictor, load_predictor
    from lcageo.scene.raster import open_scene
    from lcageo.vector.target import FileTarget

    predictor: Predictor = BrightSquares(bright_card(512))
    config = DetectConfig()
    if model is not None:
        predictor = load_predictor(find_card(model), config, "cpu")
    started = time.monotonic()
    with open_scene(path) as scene:
        plan_scene(scene, predictor.card, config)
    planned = time.monotonic() - started
    job = Job(str(path), (FileTarget.of(path.with_suffix(".gpkg")),), None)
    (outcome,) = run_jobs([job], Run(LocalRunner(predictor), config, lambda line: None))
    assert outcome.result is not None, outcome.error
    peak = psutil.Process().memory_info()
    high_water = next(
        int(line.split()[1]) / 1000 for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    print(f"{max(high_water, peak.rss / 1e6):.0f} {outcome.result.objects} {outcome.result.seconds:.1f} {planned:.2f}")


def measure(side: int, stored: int, model: str | None) -> list[float]:
    """Peak MB, objects, total and planning seconds, for a scene of side x side pixels."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        write_large_scene(scene, side, stored)
        command = [sys.executable, __file__, "--run", str(scene), *(["--model", model] if model else [])]
        return list(map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()))


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3000, 30_000])
    parser.add_argument("--sparse", type=int, nargs="*", default=[])
    parser.add_argument("--model")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run is not None:
        run_once(arguments.run, arguments.model)
        return
    print(f"{'pixels a side':>14} {'stored':>8} {'peak MB':>8} {'objects':>8} {'seconds':>8} {'planned in':>10}")
    sizes = [(side, side) for side in arguments.sizes] + [(side, STORED) for side in arguments.sparse]
    for side, stored in sizes:
        peak, objects, seconds, planned = measure(side, stored, arguments.model)
        print(f"{side:14,} {stored:8,} {peak:8.0f} {objects:8,.0f} {seconds:8.1f} {planned:8.2f} s", flush=True)


if __name__ == "__main__":
    main()
