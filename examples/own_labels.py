"""The workflow for your own objects: detect, correct, make chips, fine-tune, detect again, and evaluate.

    python examples/own_labels.py build/own
    python examples/own_labels.py build/own --scene ortho.tif --truth trees.gpkg --share 0.6 --minutes 2
    python examples/own_labels.py build/trees --scene neon_OSBS_029_utm17.tif --truth OSBS_029.csv --size 256

own_labels.md describes the same steps for work in QGIS. Here, the corrections come from a ground-truth layer: in the
labelled western part of the scene, they are what an analyst would have after deleting wrong objects and drawing missing
ones. The rest of the scene is not used for training; both models are evaluated there. Without --scene, a scene is
rendered with some two thousand cars. The ground truth may also be a table of boxes in pixels, as the
DeepForest project distributes them: columns xmin, ymin, xmax, ymax, label.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import make_scene
import pandas as pd
import rasterio
import shapely

CANDIDATES = "0.05"
"""Minimum score in the evaluated layers: average precision needs the low-scoring objects as well."""


def lcageo(*arguments: object) -> str:
    """Prints a command, runs it, and returns its standard output."""
    command = ["lcageo", *map(str, arguments)]
    print("$", shlex.join(command), flush=True)
    done = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def parts_of(scene: Path, share: float) -> tuple[shapely.Polygon, shapely.Polygon, str]:
    """The labelled western part of a scene, the rest of it, and its CRS."""
    with rasterio.open(scene) as dataset:
        left, bottom, right, top = dataset.bounds
        middle = left + share * (right - left)
        return shapely.box(left, bottom, middle, top), shapely.box(middle, bottom, right, top), dataset.crs.to_wkt()


def true_objects(path: Path, scene: Path) -> geopandas.GeoDataFrame:
    """Reads a ground-truth layer, in any CRS, or a table of boxes in the scene's pixels."""
    if path.suffix != ".csv":
        return geopandas.read_file(path)
    table = pd.read_csv(path)
    with rasterio.open(scene) as dataset:
        boxes = [
            shapely.box(*(dataset.transform @ (row.xmin, row.ymin)), *(dataset.transform @ (row.xmax, row.ymax)))
            for row in table.itertuples()
        ]
        return geopandas.GeoDataFrame({"class": table["label"].str.lower()}, geometry=boxes, crs=dataset.crs)


def write_part(truth: geopandas.GeoDataFrame, area: shapely.Polygon, folder: Path, name: str) -> int:
    """Writes an area and the true objects whose centres are inside; returns the number of these objects."""
    inside = truth[truth.centroid.within(area)]
    inside.to_file(folder / f"{name}.gpkg")
    geopandas.GeoDataFrame(geometry=[area], crs=truth.crs).to_file(folder / f"{name}-area.gpkg")
    return len(inside)


def measured(layer: Path, truth: Path) -> dict[str, Any]:
    """Evaluates a layer: the metrics of each class in the ground truth, and of all together."""
    found = json.loads(lcageo("evaluate", "--layer", layer, "--truth", truth, "--json"))
    return {one["class"]: one for one in (*found["classes"], found["overall"]) if one["truth"]}


def own_labels(scene: Path, truth: Path, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Runs the workflow; returns each class's AP at an IoU of 0.5, before and after, in the rest of the scene."""
    folder: Path = options.folder
    west, east, crs = parts_of(scene, options.share)
    objects = true_objects(truth, scene).to_crs(crs)
    labelled, unseen = (write_part(objects, area, folder, name) for area, name in ((west, "labels"), (east, "rest")))
    print(f"{labelled} objects to label in the west, {unseen} in the rest of the scene")

    print("1. Detect, and list the least certain tiles and objects")
    where = ["--aoi", folder / "labels-area.gpkg", "--overwrite"]
    found, review = folder / "found.gpkg", folder / "review.gpkg"
    lcageo("detect", scene, "--model", options.model, "-o", found, "--review", review, *where)

    print("2. Correct: delete wrong objects, draw missing ones")
    figures = measured(found, folder / "labels.gpkg")["all"]
    print(f"{figures['true_positives']} objects kept, {figures['false_positives']} deleted, {figures['misses']} drawn")

    print("3. Make chips")
    chips = folder / "chips"
    lcageo("chips", scene, "--labels", folder / "labels.gpkg", *where, "--size", options.size, "-o", chips)

    print("4. Fine-tune")
    lcageo(
        *("train", "--data", chips / "train.json", "--val", chips / "val.json", "--from", options.model),
        *("--imgsz", options.size, "--minutes", options.minutes),
        *("--batch", options.batch, "--validations", 4, "--workers", 0, "--out", folder / "tuned", "--overwrite"),
    )

    print("5. Evaluate both models in the rest of the scene")
    both = []
    for model, name in ((options.model, "before"), (folder / "tuned", "after")):
        layer = folder / f"{name}.gpkg"
        area = ["--aoi", folder / "rest-area.gpkg", "--overwrite"]
        lcageo("detect", scene, "--model", model, "-o", layer, "--keep", CANDIDATES, *area)
        both.append(measured(layer, folder / "rest.gpkg"))
    return {
        name: (both[0][name]["average_precision"] or 0.0, both[1][name]["average_precision"] or 0.0) for name in both[0]
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder for all outputs")
    parser.add_argument("--scene", type=Path, help="raster (default: a scene rendered into the folder)")
    parser.add_argument("--truth", type=Path, help="its ground-truth layer, with an attribute 'class', or a .csv")
    parser.add_argument("--share", type=float, default=0.5, help="labelled share of the scene (default: %(default)s)")
    parser.add_argument("--model", default="lca-s", help="model to start from (default: %(default)s)")
    parser.add_argument("--size", type=int, default=640, help="side of a chip, pixels (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=2.0, help="duration of fine-tuning (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="crops per training step (default: %(default)s)")
    options = parser.parse_args(arguments)
    if (options.scene is None) != (options.truth is None):
        parser.error("--scene requires --truth, and --truth requires --scene")
    options.folder.mkdir(parents=True, exist_ok=True)
    scene, truth = options.scene, options.truth
    if scene is None:
        scene, truth = options.folder / "scene.tif", options.folder / "truth.geojson"
        make_scene.main([str(scene), "--truth", str(truth), "--size", "2560"])
    gain = own_labels(scene, truth, options)
    print(f"{'AP50 in the rest of the scene':<32}{'before':>8}{'after':>8}")
    for name, (before, after) in gain.items():
        print(f"{name:<32}{before:>8.3f}{after:>8.3f}")


if __name__ == "__main__":
    main()
