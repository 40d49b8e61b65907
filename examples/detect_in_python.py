"""Finds objects in a scene from Python, looks at them with geopandas, and keeps what is worth keeping.

    python examples/detect_in_python.py scene.tif ships.gpkg --classes ship --least-area 100

What `lcageo.detect` gives is a GeoDataFrame in the scene's CRS, a polygon per object, best first (the scene here is
what `python examples/make_scene.py scene.tif` makes):

    >>> found = lcageo.detect("scene.tif", score=0.4)
    >>> found[["class", "score", "area_m2"]].head(2)
                  class   score  area_m2
    0  basketball court  0.9669   625.20
    1          airplane  0.9647   839.47

So everything that geopandas does can be done with it. Counted by class:

    >>> found["class"].value_counts().head(2)
    vehicle    335
    ship        88

On a web map, in longitude and latitude:

    >>> found.to_crs(4326).to_json()

Within 50 metres of something else, in a CRS of metres:

    >>> found.sjoin_nearest(geopandas.read_file("quays.gpkg").to_crs(found.crs), max_distance=50)

The options are those of `lcageo detect`, by the names that `lcageo.DetectConfig` has, and `model`, `device`, `backend`
and `precision`. How the result came about is in `found.attrs["lcageo"]`: model, checksum, parameters, what was skipped.
Errors are `lcageo.LcageoError`, and say how to mend them.

A scene too large to be run without a break is better left to the command, which goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lcageo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", help="a raster")
    parser.add_argument("out", type=Path, help="file to write, in any format of geopandas")
    parser.add_argument("--model", help="default: the model that `lcageo detect` takes")
    parser.add_argument("--classes", nargs="+", default=[], help="default: all")
    parser.add_argument("--score", type=float, help="default: the model's own")
    parser.add_argument("--least-area", type=float, default=0.0, help="square metres")
    options = parser.parse_args()

    found = lcageo.detect(options.scene, model=options.model, score=options.score, classes=options.classes)
    record = found.attrs["lcageo"]
    print(f"{len(found)} objects by model {record['model']}, {record['tiles']['run']} tiles run")

    large = found[found["area_m2"] >= options.least_area]
    by_class = large.groupby("class").agg(objects=("id", "size"), mean_score=("score", "mean"), m2=("area_m2", "sum"))
    print(by_class.round(2).to_string())
    large.to_file(options.out)


if __name__ == "__main__":
    main()
