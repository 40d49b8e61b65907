"""Compares lcageo with GeoDeep, SAHI, DeepForest and geoai: the same scene, weights, tile size and overlap, end to end.

    python tests/benchmarks/peers.py [--side 5000] [--rounds 3] [--only NAME ...] [--http DELAY_MS]
        [--truth build/demo/scene.tif build/demo/truth.geojson]

The peers are installed into a separate environment, build/peers. Times are those of complete processes, from the start
of the interpreter to the written file; memory is their peak resident size. GeoDeep runs our ONNX export, the others our
PyTorch network, in float32, PyTorch's default, and in bfloat16, which lcageo chooses if the processor supports it.
Each tiles, merges and writes in its own way; SAHI does not write map features, so its script does. `cache
empty` is a first run, which prepares the model's graph.

With --http the scene is a cloud-optimized GeoTIFF behind a local server that answers each request after so many
milliseconds; all read it by its URL. With --truth, the detections in a generated scene are compared with its ground
truth (`make demo` makes one). geoai holds a mask of the whole scene for every object, a byte a pixel: 8 GB for 500
objects on 17 megapixels. What asks for more memory than is available is ended, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from object_store import served, write_cog
from peer_environment import peer_python
from scenes_to_time import BLOCK, ROOT, write_scene

BUILD = ROOT / "build" / "benchmarks"
HERE = Path(__file__).resolve().parent
EMPTY_CACHE = BUILD / "peers_cache"
MODEL, SCORE, OVERLAP = "lca-s", 0.5, 0.25


def run(command: list[str]) -> tuple[float, float, float] | None:
    """Seconds, CPU seconds and peak MB of a process; None if it asks for more memory than is available."""
    available = psutil.virtual_memory().available * 9 // 10  # the rest is for the machine itself
    shutil.rmtree(EMPTY_CACHE, ignore_errors=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (available, available)),
    )
    errors = process.stderr.read().decode() if process.stderr else ""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status and "MemoryError" in errors:
        return None
    if status:
        sys.exit(errors[-2000:])
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def output_of(name: str) -> Path:
    """Where a contestant writes."""
    return BUILD / f"peers_{name.lower().replace(', ', '_').replace(' ', '_')}.geojson"


def commands(scene: str, onnx: Path) -> dict[str, list[str]]:
    """The command of every contestant for a path or URL of a scene."""
    options = f"--overlap {OVERLAP:.0%} --score {SCORE} --gsd native --passes 1 --overwrite -q".split()
    detect = [sys.executable, "-m", "lcageo", "detect", scene, "--model", MODEL, *options]
    found = {
        "lcageo": detect,
        "lcageo, cache empty": ["env", f"LCAGEO_CACHE={EMPTY_CACHE}", *detect],
        "lcageo, torch": [*detect, "--backend", "torch"],
    }
    found = {name: [*command, "-o", str(output_of(name))] for name, command in found.items()}
    peer = str(peer_python())
    raster = f"/vsicurl/{scene}" if "://" in scene else scene
    geodeep = [str(HERE / "peer_geodeep.py"), raster, str(onnx), str(SCORE), str(output_of("GeoDeep"))]
    found["GeoDeep"] = [peer, *geodeep]
    own = [str(ROOT), sysconfig.get_path("purelib")]
    for title in ("SAHI", "DeepForest", "geoai"):
        for name, precision in ((title, "fp32"), (f"{title}, bfloat16", "auto")):
            script = str(HERE / f"peer_{title.lower()}.py")
            settings = [raster, MODEL, str(SCORE), str(OVERLAP), precision, str(output_of(name))]
            found[name] = [peer, script, *settings, *own]
    return found


EXPORT = """
import sys
from pathlib import Path
from lcageo.runtime.catalog import find_card
from lcageo.runtime.onnx_export import export_yolo
card = find_card(sys.argv[1])
Path(sys.argv[2]).write_bytes(export_yolo(card, round(card.tile_size * float(sys.argv[3]))))
"""


def export() -> Path:
    """Exports our model to ONNX with the common overlap; in a child, since later children would inherit the memory."""
    path = BUILD / "peers.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-c", EXPORT, MODEL, str(path), str(OVERLAP)], check=True)
    return path


def boxes_of(path: Path, transform: Any, crs: Any) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) boxes in scene pixels and (N,) classes of a layer."""
    import geopandas

    layer = geopandas.read_file(path).to_crs(crs)
    bounds = layer.geometry.bounds.to_numpy() if len(layer) else np.zeros((0, 4))
    left, top = ~transform * (bounds[:, 0], bounds[:, 3])
    right, bottom = ~transform * (bounds[:, 2], bounds[:, 1])
    return np.stack([left, top, right, bottom], axis=1), layer["class"].to_numpy()


def compare(scene: Path, truth: Path, names: Iterable[str]) -> None:
    """Prints how many objects each has found, and the shift of its boxes from those of the first."""
    import rasterio

    from lcageo.config import MergeMetric
    from lcageo.nms import overlap

    with rasterio.open(scene) as dataset:
        place = (dataset.transform, dataset.crs)
    there = boxes_of(truth, *place)
    found = {name: boxes_of(output_of(name), *place) for name in names}
    first = next(iter(found))

    def pairs(one: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
        """Indices of boxes of one class that share more than half of their union."""
        here, beside = np.indices((len(one[0]), len(other[0]))).reshape(2, -1)
        same = overlap(one[0][here], other[0][beside], MergeMetric.IOU) > 0.5
        same &= one[1][here] == other[1][beside]
        return here[same], beside[same]

    print(f"{len(there[0]):,} true objects; right: those that a box matches (IoU above 0.5); wrong: all other boxes")
    print(f"{'':<22}{'boxes':>7}{'right':>7}{'wrong':>7}{f'shift from {first} x, y px':>29}")
    for name, layer in found.items():
        right = len(np.unique(pairs(layer, there)[1]))
        mine, others = pairs(layer, found[first])
        centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (layer[0], found[first][0])]
        shift = np.median(centres[0][mine] - centres[1][others], axis=0)
        print(f"{name:<22}{len(layer[0]):>7}{right:>7}{len(layer[0]) - right:>7}{shift[0]:>22.2f}, {shift[1]:.2f}")


@contextmanager
def scene_at(side: int, delay_ms: int | None) -> Iterator[str]:
    """The path of the scene, or the URL of its cloud-optimized copy behind a server that is closed afterwards."""
    if delay_ms is None:
        yield str(write_scene(BUILD / f"scene_{side}.tif", side))
        return
    cog = write_cog(side)
    with served(cog.parent, delay_s=delay_ms / 1000) as server:
        yield server.url(cog.name)
    for log in cog.parent.glob("requests-*"):
        log.unlink()


def measure(scene: str, onnx: Path, only: list[str] | None, rounds: int) -> list[str]:
    """Prints a table of what each contestant takes, and returns their names."""
    chosen = {name: command for name, command in commands(scene, onnx).items() if name in (only or [name])}
    print(f"{'':<22}{'s':>8}{'of lcageo':>11}{'CPU s':>8}{'peak MB':>9}")
    taken = [{name: run(command) for name, command in chosen.items()} for _ in range(rounds)]
    first = None
    for name in chosen:
        times = [one[name] for one in taken]
        if None in times:
            print(f"{name:<22}  more memory than is available")
            continue
        seconds, cpu, peak = min(times)
        first = first or seconds
        print(f"{name:<22}{seconds:>8.2f}{seconds / first:>10.2f}x{cpu:>8.1f}{peak:>9.0f}")
    return list(chosen)


def main() -> None:
    """Prints tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3, help="all run in turn, and the fastest of each counts")
    parser.add_argument("--truth", type=Path, nargs=2, metavar=("SCENE", "TRUTH"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of contestants to run")
    parser.add_argument("--http", type=int, metavar="DELAY_MS", help="read the scene from a server with this delay")
    arguments = parser.parse_args()
    onnx, side, delay_ms = export(), f"{arguments.side:,}", arguments.http
    server = "" if delay_ms is None else f" behind HTTP, {delay_ms} ms a request"
    print(f"{side} x {side} pixels, JPEG in tiles of {BLOCK}{server}, model {MODEL}, overlap {OVERLAP:.0%}")
    with scene_at(arguments.side, delay_ms) as scene:
        names = measure(scene, onnx, arguments.only, arguments.rounds)
    if arguments.truth:
        picture, truth = arguments.truth
        every = commands(str(picture), onnx)
        found = [name for name in names if run(every[name])]
        compare(picture, truth, found)
        for name in set(names) - set(found):
            print(f"{name:<22}  more memory than is available")


if __name__ == "__main__":
    main()
