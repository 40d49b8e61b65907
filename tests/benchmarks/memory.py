"""Peak memory of a whole run against the size of the scene.

    python tests/benchmarks/memory.py [--sizes 3000 30000] [--model FOLDER]

Each size runs in a process of its own on a generated, JPEG-compressed, tiled scene: detection, merging, writing.
Without --model the predictor is the tests' bright-square finder, so that reading and merging are what counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
import rasterio
from rasterio.windows import Window

HERE = Path(__file__).resolve().parent
BLOCK = 1024


def write_large_scene(path: Path, side: int) -> None:
    """A tiled scene of side x side pixels with two bright squares in every block of 1,024 pixels."""
    block = np.random.default_rng(0).integers(40, 110, (3, BLOCK, BLOCK), dtype=np.uint8)
    block[:, 100:130, 200:230] = 250
    block[:, 600:620, 700:720] = 250
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32633",
        "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "tiled": True, "blockxsize": 512,
        "blockysize": 512, "compress": "jpeg", "photometric": "YCBCR", "bigtiff": "if_safer",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for row in range(0, side, BLOCK):
            for column in range(0, side, BLOCK):
                width, height = min(BLOCK, side - column), min(BLOCK, side - row)
                dataset.write(block[:, :height, :width], window=Window(column, row, width, height))


def run_once(scene: Path, model: str | None) -> None:
    """Detects, merges and writes, in this process; prints peak memory in MB, objects and seconds."""
    sys.path.insert(0, str(HERE.parent))
    from bright import BrightSquares, bright_card

    from lcageo.config import DetectConfig
    from lcageo.pipeline.files import Job, run_jobs
    from lcageo.pipeline.runner import LocalRunner
    from lcageo.runtime.catalog import find_card
    from lcageo.runtime.predictor import Predictor, load_predictor

    predictor: Predictor = BrightSquares(bright_card(512))
    config = DetectConfig()
    if model is not None:
        predictor = load_predictor(find_card(model), config, "cpu")
    job = Job(str(scene), (scene.with_suffix(".gpkg"),), None)
    (report,) = run_jobs([job], LocalRunner(predictor), config, lambda line: None, lambda job, at: None)
    assert report.result is not None, report.error
    peak = psutil.Process().memory_info()
    high_water = next(
        int(line.split()[1]) / 1000 for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    print(f"{max(high_water, peak.rss / 1e6):.0f} {report.result.objects} {report.result.seconds:.1f}")


def measure(side: int, model: str | None) -> tuple[float, int, float]:
    """Peak MB, objects and seconds of a run on a scene of side x side pixels."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        write_large_scene(scene, side)
        command = [sys.executable, __file__, "--run", str(scene), *(["--model", model] if model else [])]
        peak, objects, seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(peak), int(objects), float(seconds)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3000, 30_000])
    parser.add_argument("--model")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run is not None:
        run_once(arguments.run, arguments.model)
        return
    print(f"{'pixels a side':>14} {'peak MB':>8} {'objects':>8} {'seconds':>8}")
    for side in arguments.sizes:
        peak, objects, seconds = measure(side, arguments.model)
        print(f"{side:14,} {peak:8.0f} {objects:8,} {seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()
