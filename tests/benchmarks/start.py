"""Time until the first tile is through, and of the whole process, with an empty cache and with a filled one.

    python tests/benchmarks/start.py [--side 1000] [--rounds 5] [--model MODEL]

`lcageo detect` is run as users run it, from the start of the interpreter to the written file: on a scene of one tile,
whose only line of progress tells when the first tile is through, and on a scene of side x side pixels. Beside it stands
the floor: a bare process that imports OpenVINO, loads the same graph through OpenVINO's own cache and runs as many
tiles of zeros, but neither reads a scene nor writes anything. The medians of several rounds are shown; in each round,
the two processes run one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scenes_to_time import ROOT, write_scene

from lcageo.config import Backend, DetectConfig
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.cpu_backend import side_by_side
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.predictor import load_predictor

BUILD = ROOT / "build" / "benchmarks"
OUTPUT, GRAPH = BUILD / "start.geojson", BUILD / "start.onnx"
OWN_CACHE, BARE_CACHE = BUILD / "start_cache", BUILD / "start_bare_cache"
FLOOR = """
import sys
import numpy, openvino
graph, cache, precision, side, tiles, streams, threads = *sys.argv[1:4], *map(int, sys.argv[4:])
core = openvino.Core()
settings = {"CACHE_DIR": cache, "INFERENCE_PRECISION_HINT": precision}
settings |= {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads}
compiled = core.compile_model(graph, "CPU", settings)
image = numpy.zeros((1, 3, side, side), numpy.uint8)
compiled.create_infer_request().infer([image], share_inputs=True)
print('"done": 1,', file=sys.stderr, flush=True)
queue = openvino.AsyncInferQueue(compiled, streams)
for _ in range(tiles - 1):
    queue.start_async([image], share_inputs=True)
queue.wait_all()
"""
Times = tuple[float, float]
"""Seconds to the first tile (NaN if it is not told) and to the end of the process."""
FIRST_TILE = '"done": 1,'
"""What both processes print to standard error when the first tile is through."""


def timed(command: list[str]) -> tuple[float | None, float, str]:
    """Seconds to the first tile (None if it is not told) and to the end of a process, and its last line."""
    started = time.perf_counter()
    environment = os.environ | {"LCAGEO_CACHE": str(OWN_CACHE)}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, env=environment)
    first, last = None, ""
    for line in process.stderr or ():
        if first is None and FIRST_TILE in line:
            first = time.perf_counter() - started
        last = line if "progress" in line else last
    if process.wait():
        sys.exit(f"{' '.join(command)} failed")
    return first, time.perf_counter() - started, last


def detect(scene: Path, model: str) -> list[str]:
    """The command under test."""
    options = ["--backend", "openvino", "--progress", "json", "--overwrite", "--restart", "-o", str(OUTPUT)]
    return [sys.executable, "-m", "lcageo", "detect", str(scene), "--model", model, *options]


def floor(card: ModelCard, precision: str, tiles: int) -> list[str]:
    """The bare process for as many tiles."""
    streams, threads = side_by_side()
    numbers = (card.tile_size, tiles, streams, streams * threads)
    return [sys.executable, "-c", FLOOR, str(GRAPH), str(BARE_CACHE), precision, *map(str, numbers)]


def tiles_of(scene: Path, model: str) -> int:
    """Number of tiles that a run over a scene runs, over all its passes."""
    return int(json.loads(timed(detect(scene, model))[2])["done"])


def median_times(commands: Sequence[list[str]], rounds: int, warm: bool) -> list[Times]:
    """Median seconds to the first tile and of the whole process, of each command."""
    times: list[list[Times]] = [[] for _ in commands]
    for _ in range(rounds):
        for some, command in zip(times, commands, strict=True):
            if not warm:
                shutil.rmtree(OWN_CACHE, ignore_errors=True)
                shutil.rmtree(BARE_CACHE, ignore_errors=True)
            first, whole, _ = timed(command)
            some.append((float("nan") if first is None else first, whole))
    return [(statistics.median(one[0] for one in some), statistics.median(one[1] for one in some)) for some in times]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    card = find_card(arguments.model)
    engine = load_predictor(card, DetectConfig(), "cpu", Backend.OPENVINO).engine
    precision = "bf16" if engine.precision == "bf16" else "f32"
    BUILD.mkdir(parents=True, exist_ok=True)
    GRAPH.write_bytes(onnx_graph(card))
    print(f"{engine}; seconds, medians of {arguments.rounds} rounds")
    print(f"{'cache':>6} {'what':>24} {'detect':>7} {'floor':>7} {'ratio':>6}")
    for side in (card.tile_size, arguments.side):
        scene = write_scene(BUILD / f"scene_{side}.tif", side)
        commands = detect(scene, card.name), floor(card, precision, tiles_of(scene, card.name))
        for cache in ("empty", "filled"):
            if cache == "filled":
                for command in commands:
                    timed(command)
            own, bare = median_times(commands, arguments.rounds, cache == "filled")
            what = {"process": 1} if side != card.tile_size else {"first tile": 0, "process": 1}
            for name, column in what.items():
                seconds, least = own[column], bare[column]
                print(f"{cache:>6} {f'{name}, {side} x {side}':>24} {seconds:7.2f} {least:7.2f} {seconds / least:6.2f}")


if __name__ == "__main__":
    main()
