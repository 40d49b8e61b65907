"""Detects objects in a scene from Python, summarises them with geopandas, and saves those that are large enough.

    python examples/detect_in_python.py scene.tif ships.gpkg --classes ship --least-area 100

`lcageo.detect` returns a GeoDataFrame in the scene's CRS with a polygon per object, the highest score first (the scene
here is that of `python examples/make_scene.py scene.tif`):

    >>> found = lcageo.detect("scene.tif", score=0.4)
    >>> found[["class", "score", "area_m2"]].head(2)
                  class   score  area_m2
    0  basketball court  0.9669   625.20
    1          airplane  0.9647   839.47

All of geopandas works with it. Objects by class:

    >>> found["class"].value_counts().head(2)
    vehicle    335
    ship        88

As GeoJSON in longitude and latitude, for a web map:

    >>> found.to_crs(4326).to_json()

Objects within 50 metres of another layer's features, in a CRS in metres:

    >>> found.sjoin_nearest(geopandas.read_file("quays.gpkg").to_crs(found.crs), max_distance=50)

The options are those of `lcageo detect`, with the names in `lcageo.DetectConfig`, and `model`, `device`, `backend` and
`precision`. The processing metadata is in `found.attrs["lcageo"]`: model, checksum, parameters, skipped tiles. Errors
are `lcageo.LcageoError`; their messages say how to fix the problem.

For a scene that takes hours, use the command `lcageo detect`: it can be interrupted and resumed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lcageo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", help="raster to search")
    parser.add_argument("out", type=Path, help="file to write, in any format of geopandas")
    parser.add_argument("--model", help="default: the default model of `lcageo detect`")
    parser.add_argument("--classes", nargs="+", default=[], help="default: all")
    parser.add_argument("--score", type=float, help="default: the model's threshold of each class")
    parser.add_argument("--least-area", type=float, default=0.0, help="minimum area of an object, square metres")
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
