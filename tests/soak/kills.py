"""Kills `detect` and `batch` at random moments: a resumed run must give the same bytes as an uninterrupted one.

    python tests/soak/kills.py [--kills 50] [--seed 0]

An untrained model runs over small scenes, with `detect` and `batch` in turn, in every format. A run is killed (SIGKILL)
after a random time and started again with the same command, until it is allowed to finish. Then its files are compared
byte by byte; GeoPackages, whose header contains a time, feature by feature, in order. Exits with 1 at any difference.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import geopandas

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.scenes import UTM, noise, write_scene
from support.untrained import make_untrained_model

FORMATS = ("geojson", "gpkg", "shp", "fgb", "parquet", "csv")
LET_THROUGH = 0.15
"""Share of the runs that are not killed."""


def commands(folder: Path, suffix: str) -> list[Callable[[Path], list[str]]]:
    """`detect` and `batch` into a folder, in one format."""
    options = ["--model", str(folder / "model"), "--score", "0.05", "--overlap", "60%", "-q"]
    survey, scene = folder / "survey", folder / "survey" / "0.tif"
    return [
        lambda out: ["detect", str(scene), "-o", str(out / f"found.{suffix}"), "--holes", str(out / "h.csv"), *options],
        lambda out: ["batch", str(survey), "--out", str(out), "--format", suffix, *options],
    ]


def run(command: list[str], kill_after: float | None) -> bool:
    """Runs a command; returns whether it finished."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lcageo", *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        _, messages = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    if b"exists; use --overwrite" in messages:
        return True  # killed when all files were already in place
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {messages.decode()}")
    return True


def differences(whole: Path, out: Path) -> list[str]:
    """Files that differ or are missing."""
    names = {path.relative_to(folder) for folder in (whole, out) for path in folder.rglob("*") if path.is_file()}
    # The state and the summary contain the run time.
    timed = {".lcageo-survey", "summary.json", "summary.csv"}
    return [str(name) for name in sorted(names) if name.name not in timed and not _same(whole / name, out / name)]


def _same(first: Path, second: Path) -> bool:
    if not (first.exists() and second.exists()):
        return False
    if first.suffix == ".gpkg":
        return bool(geopandas.read_file(first).equals(geopandas.read_file(second)))
    return first.read_bytes() == second.read_bytes()


def main() -> None:
    """Prints a line for every comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, kills, compared = random.Random(arguments.seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "survey").mkdir()
        make_untrained_model(folder / "model", tile_size=256)
        for number in range(3):
            place = UTM @ UTM.translation(number * 300, 0)
            write_scene(folder / "survey" / f"{number}.tif", noise(500, 600, seed=number), transform=place)
        while kills < arguments.kills:
            suffix = FORMATS[compared // 2 % len(FORMATS)]
            command = commands(folder, suffix)[compared % 2]
            whole, out = folder / f"{compared} whole", folder / f"{compared} out"
            whole.mkdir(), out.mkdir()
            started = time.monotonic()
            run(command(whole), None)
            length = time.monotonic() - started
            attempts = 0
            while not run(command(out), None if rng.random() < LET_THROUGH else rng.uniform(0.2, 0.95) * length):
                attempts += 1
            kills, compared = kills + attempts, compared + 1
            differ = differences(whole, out)
            print(
                f"{command(out)[0]:>6} {suffix:>8}: {attempts} kills in {length:.1f} s, {differ or 'equal'}", flush=True
            )
            if differ:
                sys.exit(1)
    print(f"{kills} kills, {compared} results, all equal")


if __name__ == "__main__":
    main()
