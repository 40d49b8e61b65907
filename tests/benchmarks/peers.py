"""Compares lcageo with GeoDeep and SAHI in one run: the same scene, weights, tile size and overlap, end to end.

    python tests/benchmarks/peers.py [--side 5000] [--truth build/demo/scene.tif build/demo/truth.geojson]

The peers are installed into a separate environment, build/peers. Times are those of complete processes, from the start
of the interpreter to the written file; memory is their peak resident size. GeoDeep runs our ONNX export, SAHI our
PyTorch network, in float32, PyTorch's default, and in bfloat16, which lcageo chooses if the processor supports it.
With --truth, the detections in a generated scene are compared with its ground truth (`make demo` makes one).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np
from peer_environment import peer_python
from scenes_to_time import BLOCK, ROOT, write_scene

BUILD = ROOT / "build" / "benchmarks"
HERE = Path(__file__).resolve().parent
MODEL, SCORE, OVERLAP = "lca-s", 0.5, 0.25


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak MB of a process."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(errors.decode()[-2000:])
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def commands(scene: Path, onnx: Path) -> dict[str, list[str]]:
    """The command of every contestant."""
    options = [
        "--overlap",
        f"{OVERLAP:.0%}",
        "--score",
        str(SCORE),
        "--gsd",
        "native",
        "--passes",
        "1",
        "--overwrite",
        "-q",
    ]
    detect = [sys.executable, "-m", "lcageo", "detect", str(scene), "--model", MODEL, *options]
    own = [str(ROOT), sysconfig.get_path("purelib")]
    peer, output = str(peer_python()), str(BUILD / "{}.geojson")
    geodeep = [peer, str(HERE / "peer_geodeep.py"), str(scene), str(onnx), str(SCORE), output.format("geodeep")]
    sahi = [peer, str(HERE / "peer_sahi.py"), str(scene), MODEL, str(SCORE), str(OVERLAP)]
    return {
        "lcageo": [*detect, "-o", output.format("lcageo")],
        "lcageo, torch": [*detect, "--backend", "torch", "-o", output.format("torch")],
        "GeoDeep": geodeep,
        "SAHI": [*sahi, "fp32", *own],
        "SAHI, bfloat16": [*sahi, "auto", *own],
    }


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


def compare(scene: Path, truth: Path) -> None:
    """Prints how many detections of each are correct, and the shift of its boxes from those of lcageo."""
    import rasterio

    from lcageo.config import MergeMetric
    from lcageo.nms import overlap

    with rasterio.open(scene) as dataset:
        place = (dataset.transform, dataset.crs)
    there = boxes_of(truth, *place)
    found = {name: boxes_of(BUILD / f"{name}.geojson", *place) for name in ("lcageo", "geodeep")}

    def pairs(first: Any, second: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        one, two = (
            np.array(index).ravel()
            for index in np.meshgrid(*map(np.arange, map(len, (first[0], second[0]))), indexing="ij")
        )
        shared = overlap(first[0][one], second[0][two], MergeMetric.IOU)
        return one, two, (shared > 0.5) & (first[1][one] == second[1][two])

    print(f"{'':<10}{'found':>7}{'right':>7}{'true objects found':>20}{'shift from lcageo x, y px':>28}")
    for name, layer in found.items():
        one, two, same = pairs(layer, there)
        mine, ours, alike = pairs(layer, found["lcageo"])
        centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (layer[0], found["lcageo"][0])]
        shift = np.median(centres[0][mine[alike]] - centres[1][ours[alike]], axis=0)
        right, hit = len(np.unique(one[same])), len(np.unique(two[same]))
        print(f"{name:<10}{len(layer[0]):>7}{right:>7}{hit:>13} of {len(there[0]):<5}{shift[0]:>17.2f}, {shift[1]:.2f}")


def main() -> None:
    """Prints tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3, help="all run in turn, and the fastest of each counts")
    parser.add_argument("--truth", type=Path, nargs=2, metavar=("SCENE", "TRUTH"))
    parser.add_argument("--only", nargs="+", help="names of contestants to run")
    arguments = parser.parse_args()
    onnx, scene = export(), write_scene(BUILD / f"scene_{arguments.side}.tif", arguments.side)
    side = f"{arguments.side:,}"
    print(f"{side} x {side} pixels, JPEG in tiles of {BLOCK}, model {MODEL}, overlap {OVERLAP:.0%}")
    print(f"{'':<16}{'s':>8}{'of lcageo':>11}{'CPU s':>8}{'peak MB':>9}")
    chosen = {name: one for name, one in commands(scene, onnx).items() if name in (arguments.only or [name])}
    rounds = [{name: run(command) for name, command in chosen.items()} for _ in range(arguments.rounds)]
    first = min(one[next(iter(chosen))] for one in rounds)[0]
    for name in chosen:
        seconds, cpu, peak = min(one[name] for one in rounds)
        print(f"{name:<16}{seconds:>8.2f}{seconds / first:>10.2f}x{cpu:>8.1f}{peak:>9.0f}")
    if arguments.truth:
        scene, truth = arguments.truth
        every = commands(scene, onnx)
        for name in ("lcageo", "GeoDeep"):
            run(every[name])
        compare(scene, truth)


if __name__ == "__main__":
    main()
