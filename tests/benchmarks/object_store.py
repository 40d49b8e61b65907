"""Detection in scenes behind HTTP, with a delay for each request, compared with the same files on the disk.

    python tests/benchmarks/object_store.py [--side 4096] [--compress JPEG] [--delays 0 30 100] [--runs 3] [--survey 50]
        [-- OPTIONS]

Whole processes: `lcageo detect` of a cloud-optimized GeoTIFF, or, with --survey, `lcageo batch` of so many small ones.
The server is a process of this machine, so bandwidth is not the limit. Requests and bytes are counted by the server;
`rounds` is how often a request was waited for if those under way at the same time count as one. The runs of all places
take turns, and the shortest time of each counts. What follows `--` is given to the command, such as `--model NAME`.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rasterio.shutil
from rasterio.io import MemoryFile
from scenes_to_time import ROOT, write_scene

sys.path.insert(0, str(ROOT / "tests"))
from support.servers import FileServer, served

BUILD = ROOT / "build" / "benchmarks"
SMALL_SIDE = 1000


def write_cog(side: int, compress: str = "JPEG") -> Path:
    """A cloud-optimized scene, alone in a folder; an existing one is kept. `compress`: see GDAL's driver COG."""
    path = BUILD / f"object_store_{side}_{compress}" / "scene.tif"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        options = {"COMPRESS": compress, "BIGTIFF": "IF_SAFER"} | ({"QUALITY": 88} if compress == "JPEG" else {})
        rasterio.shutil.copy(write_scene(BUILD / f"scene_{side}.tif", side), part, driver="COG", **options)
        part.replace(path)
    return path


def write_survey(count: int) -> Path:
    """A folder of so many small cloud-optimized scenes with the same content, side by side on the ground."""
    folder, across = BUILD / f"object_store_survey_{count}", math.isqrt(count - 1) + 1
    folder.mkdir(parents=True, exist_ok=True)
    with rasterio.open(write_cog(SMALL_SIDE)) as source:
        pixels, shape = source.read(), {"width": source.width, "height": source.height, "count": 3, "dtype": "uint8"}
        for path in (folder / f"{number:04}.tif" for number in range(count)):
            if path.exists():
                continue
            row, column = divmod(int(path.stem), across)
            place = source.transform * source.transform.translation(column * SMALL_SIDE, row * SMALL_SIDE)
            with MemoryFile() as memory:
                with memory.open(driver="GTiff", crs=source.crs, transform=place, **shape) as dataset:
                    dataset.write(pixels)
                rasterio.shutil.copy(memory.name, path.with_suffix(".part"), driver="COG", COMPRESS="JPEG", QUALITY=88)
            path.with_suffix(".part").replace(path)
    return folder


def command(scenes: Sequence[str], survey: bool, options: Sequence[str]) -> list[str]:
    """What is timed: one scene to a layer, or a list of scenes to a folder, which is made anew."""
    own = [sys.executable, "-m", "lcageo"]
    if not survey:
        output = BUILD / "object_store.gpkg"
        return [*own, "detect", *scenes, "-o", str(output), "--overwrite", "-q", *options]
    out, listed = BUILD / "object_store_results", BUILD / "object_store.txt"
    shutil.rmtree(out, ignore_errors=True)
    listed.write_text("\n".join(scenes))
    return [*own, "batch", str(listed), "--out", str(out), "-q", *options]


def counted(server: FileServer, delay_s: float, runs: int) -> str:
    """Requests for headers and content, rounds, megabytes and repeated bytes, for each run."""
    heads, ranges = len(server.heads()), server.ranges()
    repeated = 0
    for path in {path for path, _, _ in ranges}:
        edges = np.array([(first, end) for other, first, end in ranges if other == path])
        places, where = np.unique(edges, return_inverse=True)
        changes = np.bincount(where.ravel(), np.tile([1, -1], len(edges)))  # of the number of requests, at each place
        repeated += int(np.maximum(changes.cumsum()[:-1] - runs, 0) @ np.diff(places))
    fetched = sum(end - first for _, first, end in ranges)
    rounds = f"{server.waited_s() / delay_s / runs:.0f}" if delay_s else ""
    return f"{heads / runs:>7.0f}{len(ranges) / runs:>7.0f}{rounds:>8}{fetched / runs / 1e6:>9.2f}{repeated:>10,}"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096, help="of the scene, pixels")
    parser.add_argument("--compress", default="JPEG", help="NONE makes the largest files (default: %(default)s)")
    parser.add_argument("--delays", type=int, nargs="+", default=[0, 30, 100], help="milliseconds a request")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--survey", type=int, metavar="COUNT", help=f"scenes of {SMALL_SIDE} x {SMALL_SIDE} pixels")
    parser.add_argument("options", nargs="*", help="of the command, after --")
    arguments = parser.parse_args()
    is_survey = arguments.survey is not None
    folder = write_survey(arguments.survey) if is_survey else write_cog(arguments.side, arguments.compress).parent
    files = sorted(folder.glob("*.tif"))
    print(f"{len(files)} scene(s), {sum(file.stat().st_size for file in files) / 1e6:.2f} MB in all")
    with ExitStack() as stack:
        servers = [stack.enter_context(served(folder, delay_s=delay / 1000)) for delay in arguments.delays]
        places = [[str(file) for file in files], *([one.url(file.name) for file in files] for one in servers)]
        seconds = [float("inf")] * len(places)
        for _ in range(arguments.runs):
            for number, scenes in enumerate(places):
                asked = command(scenes, is_survey, arguments.options)
                started = time.perf_counter()
                subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
                seconds[number] = min(seconds[number], time.perf_counter() - started)
        print(f"{'':<14}{'s':>8}{'of local':>10}{'HEAD':>7}{'GET':>7}{'rounds':>8}{'MB':>9}{'repeated':>10}")
        print(f"{'local':<14}{seconds[0]:>8.2f}{1.0:>10.2f}")
        for server, delay, time_s in zip(servers, arguments.delays, seconds[1:], strict=True):
            row = counted(server, delay / 1000, arguments.runs)
            print(f"{f'HTTP, {delay} ms':<14}{time_s:>8.2f}{time_s / seconds[0]:>10.2f}{row}")
        for log in folder.glob("requests-*"):
            log.unlink()


if __name__ == "__main__":
    main()
