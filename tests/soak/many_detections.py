"""Millions of detections through the journal, merging and writing, in bounded memory.

    python tests/soak/many_detections.py [--detections 5000000] [--format gpkg] [--megabytes 600]

Objects of 20 pixels form a square lattice over a large scene. Every tile detects those that it touches, jittered and
clipped at its edges, so that most are detected twice or more. Prints each step's time, number of objects (the lattice
gives the expected number) and the peak memory; more than --megabytes is a failure.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import rasterio

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.inference.plan import ScenePlan
from lcageo.inference.scene import merge
from lcageo.journal.journal import Journal
from lcageo.journal.tile_outcomes import TileOutcome, TileOutcomes
from lcageo.scene.georef import Georeference
from lcageo.scene.tiles import Tile, plan_tiles
from lcageo.vector.features import feature_parts
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.bright import CLASSES

TILE, OVERLAP, SIDE, STEP = 576, 144, 20.0, 40
SEEN = 16 / 9
"""Mean number of detections per object: tiles of 576 pixels every 432."""


def seen_by(tile: Tile, scene_side: int) -> Detections:
    """A tile's detections of the lattice."""
    left, top, right, bottom = tile.bounds
    columns = np.arange(max(0, (left - SIDE) // STEP), min(scene_side, right) // STEP) * STEP + 7
    rows = np.arange(max(0, (top - SIDE) // STEP), min(scene_side, bottom) // STEP) * STEP + 7
    x, y = (grid.ravel() for grid in np.meshgrid(columns, rows))
    random = np.random.default_rng(tile.index)
    boxes = np.stack([x, y, x + SIDE, y + SIDE], axis=1) + random.normal(0, 0.4, (len(x), 4))
    boxes = np.clip(boxes, [left, top, left, top], [right, bottom, right, bottom])
    whole = (boxes[:, 2:] - boxes[:, :2] > 2).all(axis=1)
    scores = random.uniform(0.3, 1, len(x)).astype(np.float32)
    labels = ((x // STEP + y // STEP) % len(CLASSES)).astype(np.int64)
    return Detections(boxes, scores, labels).selected(whole)


def main() -> None:
    """Prints a table; exits with 1 if memory or objects are not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detections", type=int, default=5_000_000)
    parser.add_argument("--format", default="gpkg")
    parser.add_argument("--megabytes", type=float, default=600)
    arguments = parser.parse_args()
    scene_side = int((arguments.detections / SEEN) ** 0.5) * STEP
    grid = plan_tiles(scene_side, scene_side, TILE, OVERLAP)
    plan = ScenePlan(None, grid, np.ones(len(grid), np.bool_), None, ())  # type: ignore[arg-type]  # nothing is read
    place = Georeference(pyproj.CRS("EPSG:32633"), affine=rasterio.Affine(0.3, 0, 500_000, 0, -0.3, 5_000_000))
    print(f"scene of {scene_side:,} x {scene_side:,} pixels, {len(grid):,} tiles; before: {peak_mb():.0f} MB")
    with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder) / "journal", {}) as journal:
        started, found = time.monotonic(), 0
        for first in range(0, len(grid), 64):
            tiles = [grid[index] for index in range(first, min(first + 64, len(grid)))]
            outcomes = [TileOutcome(tile.index, seen_by(tile, scene_side)) for tile in tiles]
            found += sum(len(one.found) for one in outcomes if one.found is not None)
            journal.add([TileOutcomes.of(outcomes)])
        print_step("journalled", found, started)
        started = time.monotonic()
        merge(plan, replace(DetectConfig(), iou=0.5), journal)
        objects = sum(journal.counts([0.0] * len(CLASSES)))
        print_step("merged", objects, started)
        started, path = time.monotonic(), Path(folder) / f"found.{arguments.format}"
        parts = feature_parts(journal.objects(), CLASSES, place.to_map, place.crs, "many")
        write_layer(parts, RunRecord(), FileTarget.of(path))
        print_step("written", pyogrio.read_info(path, force_feature_count=True)["features"], started)
    expected = len(np.arange(0, scene_side // STEP)) ** 2
    if abs(objects / expected - 1) > 0.001 or peak_mb() > arguments.megabytes:
        sys.exit(f"{objects:,} objects for {expected:,}, {peak_mb():.0f} MB: more than {arguments.megabytes:.0f} MB")


def print_step(what: str, count: int, started: float) -> None:
    """Prints a line of the table."""
    print(f"{what:>12} {count:12,} {time.monotonic() - started:8.1f} s {peak_mb():8.0f} MB", flush=True)


def peak_mb() -> float:
    """This process's peak resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
