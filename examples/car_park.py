"""What 28 labels of cars and a few minutes teach the shipped model, measured on cars of the same car park.

    python examples/car_park.py oam_bridge_parking_epsg3395.tif build/car_park
    python examples/car_park.py oam_bridge_parking_epsg3395.tif build/car_park --minutes 5 --seeds 0

The scene is a drone image of Manila from OpenAerialMap, 0.1 m per pixel. `labels.geojson` has the 28 cars of the
western part of its car park, drawn by hand, and `labelled_area.geojson` that part; `truth.geojson` has the 42 of the
rest, `held_out_area.geojson`, which is not trained on. For each seed, one model is trained from the same chips. The
table gives, for the held-out part, AP at an IoU of 0.5, and the cars found and the false ones at the models' own
thresholds.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().with_suffix("")
LABELS, LABELLED = HERE / "labels.geojson", HERE / "labelled_area.geojson"
TRUTH, HELD_OUT = HERE / "truth.geojson", HERE / "held_out_area.geojson"
CLASS_MAP = HERE / "class_map.toml"
CANDIDATES = "0.02"
"""Minimum score in the layers: average precision needs objects below the thresholds as well."""


@dataclass(frozen=True)
class Figures:
    """How well a model finds the cars of the held-out part."""

    ap50: float
    found: int
    """True cars found at the model's own threshold; of `cars`."""
    false: int
    cars: int
    best_score: float | None
    """The threshold of the best F1."""

    def row(self, name: str) -> str:
        """The figures as a line of the table."""
        best = "-" if self.best_score is None else f"{self.best_score:.2f}"
        return f"{name:<12}{self.ap50:>8.3f}{f'{self.found} of {self.cars}':>12}{self.false:>8}{best:>16}"


HEADING = f"{'':<12}{'AP50':>8}{'found':>12}{'false':>8}{'best threshold':>16}"


def lcageo(*arguments: object) -> str:
    """Prints a command, runs it, and returns its standard output."""
    command = ["lcageo", *map(str, arguments)]
    print("$", shlex.join(command), flush=True)
    done = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def measured(scene: Path, model: str | Path, folder: Path, name: str, device: str) -> Figures:
    """Runs a model on the held-out part, and compares what it finds with the true cars there."""
    layer, kept = folder / f"{name}.gpkg", folder / f"{name}-found.gpkg"
    lcageo(
        *("detect", scene, "--model", model, "--aoi", HELD_OUT, "--classes", "vehicle", "--keep", CANDIDATES),
        *("-o", layer, "--device", device, "--overwrite"),
    )
    lcageo("filter", layer, kept, "--overwrite")  # at the thresholds that the model has
    common = ("--truth", TRUTH, "--class-map", CLASS_MAP, "--json")
    every, found = (json.loads(lcageo("evaluate", "--layer", path, *common)) for path in (layer, kept))
    one = next(one for one in every["classes"] if one["class"] == "vehicle")
    right, false = (found["overall"][count] for count in ("true_positives", "false_positives"))
    return Figures(one["average_precision"] or 0.0, right, false, one["truth"], one["best_score"])


def car_park(scene: Path, options: argparse.Namespace) -> dict[str, Figures]:
    """Makes chips, trains a model for each seed, and measures all of them and the one they start from."""
    folder: Path = options.folder
    chips = folder / "chips"
    lcageo("chips", scene, "--labels", LABELS, "--aoi", LABELLED, "--size", options.size, "-o", chips, "--overwrite")
    figures = {"before": measured(scene, options.model, folder, "before", options.device)}
    for seed in options.seeds:
        model = folder / f"seed-{seed}"
        lcageo(
            *("train", "--data", chips / "train.json", "--val", chips / "val.json", "--from", options.model),
            *("--class-map", CLASS_MAP, "--imgsz", options.size, "--minutes", options.minutes, "--seed", seed),
            *("--device", options.device, "--out", model, "--overwrite"),
        )
        figures[f"seed {seed}"] = measured(scene, model, folder, f"after-{seed}", options.device)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="the drone image, oam_bridge_parking_epsg3395.tif")
    parser.add_argument("folder", type=Path, help="folder for all outputs")
    parser.add_argument("--model", default="lca-s", help="model to start from (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=3.0, help="length of each training (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default: 0 1 2)")
    parser.add_argument("--size", type=int, default=640, help="side of a chip, pixels (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="as of lcageo (default: %(default)s)")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    figures = car_park(options.scene, options)
    print(HEADING)
    for name, one in figures.items():
        print(one.row(name))


if __name__ == "__main__":
    main()
