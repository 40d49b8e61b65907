"""Exact suppression of a million boxes, compared with lsnms and powerboxes in one run.

    python tests/benchmarks/merging.py [--boxes 1000000]

Two sets: clusters of three duplicates, and car parks whose boxes have twelve neighbours each. The libraries are
installed into a separate environment, build/peers; the boxes that each keeps are compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peer_environment import peer_python

IOU = 0.5
ROUNDS = 3


def clusters(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(N, 4) boxes in groups of three, shifted by a few pixels, spread so that few groups overlap."""
    centres = rng.uniform(0, 60 * np.sqrt(count), (-(-count // 3), 2)).repeat(3, axis=0)[:count]
    sizes = rng.uniform(15, 45, (-(-count // 3), 2)).repeat(3, axis=0)[:count]
    corners = centres + rng.normal(0, 2, (count, 2))
    return np.hstack([corners, corners + sizes * rng.uniform(0.9, 1.1, (count, 2))])


def car_parks(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(N, 4) boxes so dense that each overlaps twelve others on average, most of them slightly."""
    side = 10.0
    corners = rng.uniform(0, np.sqrt(count * (2 * side) ** 2 / 12), (count, 2))
    return np.hstack([corners, corners + rng.uniform(0.9, 1.1, (count, 2)) * side])


SETS = {"clusters of three": clusters, "car parks": car_parks}


def ours(boxes: NDArray[np.float64], scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices that lcageo keeps."""
    from lcageo.detections import Detections
    from lcageo.nms import nms

    return nms(Detections(boxes, scores.astype(np.float32), labels), IOU)


def peer(
    name: str, boxes: NDArray[np.float64], scores: NDArray[np.float64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Indices that a library keeps; classes are separated by an offset, as usual."""
    if name == "lsnms":
        import lsnms

        return np.asarray(lsnms.nms(boxes, scores, iou_threshold=IOU, class_ids=labels if labels.any() else None))
    import powerboxes

    apart = boxes + (labels * (boxes.max() + 1))[:, None]
    return np.asarray(powerboxes.rtree_nms(apart, scores, IOU, 0.0)).astype(np.int64)


def timed(name: str, folder: Path, count: int) -> None:
    """Prints the seconds of one method for every set, and a checksum of the kept boxes."""
    found = {}
    for key in SETS:
        for classes in (1, 20):
            data = np.load(folder / f"{key}-{count}.npz")
            labels = data["labels"] % classes
            some = slice(0, 1000)
            work = ours if name == "lcageo" else lambda *arrays: peer(name, *arrays)
            work(data["boxes"][some], data["scores"][some], labels[some])  # compiles, imports
            seconds = []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                kept = work(data["boxes"], data["scores"], labels)
                seconds.append(time.perf_counter() - started)
            found[f"{key}, {classes}"] = [min(seconds), len(kept), int(np.sort(kept).astype(np.int64).sum())]
    print(json.dumps(found))


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--time", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.time:
        timed(arguments.time, arguments.folder, arguments.boxes)
        return
    here, peers = [sys.executable], [str(peer_python())]
    with tempfile.TemporaryDirectory() as folder:
        results = {}
        for count in (arguments.boxes // 10, arguments.boxes):
            rng = np.random.default_rng(count)
            for key, make in SETS.items():
                scores = np.float32(rng.permutation(np.linspace(0.05, 1, count))).astype(np.float64)
                labels = rng.integers(0, 20, count)
                np.savez(Path(folder) / f"{key}-{count}.npz", boxes=make(count, rng), scores=scores, labels=labels)
            for name, python in (("lcageo", here), ("lsnms", peers), ("powerboxes", peers)):
                command = [*python, __file__, "--time", name, "--folder", folder, "--boxes", str(count)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                results[count, name] = json.loads(done.stdout.splitlines()[-1])
    print(f"{'set, classes':<24}{'boxes':>10}{'lcageo s':>10}{'lsnms':>8}{'powerboxes':>12}{'growth':>8}  kept")
    for count in (arguments.boxes // 10, arguments.boxes):
        for key, (seconds, kept, checksum) in results[count, "lcageo"].items():
            others = [results[count, name][key] for name in ("lsnms", "powerboxes")]
            growth = seconds / results[arguments.boxes // 10, "lcageo"][key][0]
            same = ["the same" if one[1:] == [kept, checksum] else f"{one[1]:,}" for one in others]
            print(
                f"{key:<24}{count:>10,}{seconds:>10.2f}{others[0][0] / seconds:>7.1f}x{others[1][0] / seconds:>11.1f}x"
                f"{growth:>8.1f}  {kept:,}; lsnms {same[0]}, powerboxes {same[1]}"
            )


if __name__ == "__main__":
    main()
