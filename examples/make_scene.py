"""Renders a synthetic aerial scene with its ground truth, so that the detector can be tried without real imagery.

    python examples/make_scene.py scene.tif --truth truth.geojson
    lcageo detect scene.tif

The default scene (4096 x 4096 pixels of 0.5 m) has an airport, a port with a marina, a tank farm, sports grounds, a
town, roads, a river and farm land; a smaller one has the sites that fit. The same seed gives the same scene. The
image is a tiled GeoTIFF in UTM zone 33N, the ground truth a GeoJSON file with the bounding box of every object.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from demo_scene.canvas import Canvas, SceneObject, develop
from demo_scene.plan import paint_compact, paint_full
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine
from rasterio.warp import transform as to_crs

CLASSES = (
    "airplane", "ship", "storage tank", "baseball diamond", "tennis court", "basketball court",
    "ground track field", "harbor", "bridge", "vehicle",
)  # fmt: skip
CRS = "EPSG:32633"
UPPER_LEFT_M = (402_000.0, 5_058_000.0)  # easting and northing of the upper-left corner, on the Adriatic coast
SMALLEST_M = 60.0
FULL_PLAN_M = 1_900.0  # scenes at least this wide hold the whole plan


def render_scene(
    size: int, gsd_m: float, seed: int, turn_deg: float | None = None
) -> tuple[NDArray[np.uint8], list[SceneObject]]:
    """Renders the picture, (3, size, size), and returns it with its objects.

    Args:
        size: side of the picture, pixels.
        gsd_m: ground sampling distance, metres per pixel.
        seed: the same seed gives the same scene.
        turn_deg: clockwise rotation of the plan, which may leave the picture's corners black. None: a few degrees,
            or 0 for small scenes.

    Raises:
        ValueError: if the size or the sampling distance is out of range.
    """
    if not 0.1 <= gsd_m <= 2.0 or size * gsd_m < SMALLEST_M:
        raise ValueError(
            f"{size} pixels of {gsd_m} m cannot be rendered; use pixels of 0.1 to 2 m, at least {SMALLEST_M:g} m in all"
        )
    rng = np.random.default_rng(seed)
    full = size * gsd_m >= FULL_PLAN_M
    usual = float(rng.uniform(4, 9)) if full else 0.0
    canvas = Canvas(size, gsd_m, turn_deg=usual if turn_deg is None else turn_deg, rng=rng)
    (paint_full if full else paint_compact)(canvas)
    return np.ascontiguousarray(develop(canvas.rgb, rng).transpose(2, 0, 1)), canvas.objects


def write_scene(path: Path, pixels: NDArray[np.uint8], gsd_m: float) -> None:
    """Write (3, H, W) pixels as a tiled, JPEG-compressed GeoTIFF with overviews."""
    west, north = UPPER_LEFT_M
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "height": pixels.shape[1], "width": pixels.shape[2],
        "crs": CRS, "transform": Affine(gsd_m, 0, west, 0, -gsd_m, north), "tiled": True, "blockxsize": 256,
        "blockysize": 256, "compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 92,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as scene:
        scene.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        scene.write(pixels)
        factors = [f for f in (2, 4, 8, 16) if f * 256 <= max(pixels.shape)]
        scene.build_overviews(factors, Resampling.average)


def write_truth(path: Path, objects: Sequence[SceneObject], gsd_m: float) -> None:
    """Write the boxes as GeoJSON: longitude and latitude in WGS84, rings counter-clockwise (RFC 7946)."""
    features = [
        {
            "type": "Feature",
            "properties": {"class": item.class_name, "class_id": CLASSES.index(item.class_name)},
            "geometry": {"type": "Polygon", "coordinates": [_ring(item.box_xyxy, gsd_m)]},
        }
        for item in objects
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def _ring(box_xyxy: tuple[int, int, int, int], gsd_m: float) -> list[list[float]]:
    """The box as a closed ring of [longitude, latitude] from its lower-left corner; 8 decimals resolve a millimetre."""
    x1, y1, x2, y2 = box_xyxy
    corners = np.array([(x1, y2), (x2, y2), (x2, y1), (x1, y1), (x1, y2)]) * gsd_m
    east, north = UPPER_LEFT_M[0] + corners[:, 0], UPPER_LEFT_M[1] - corners[:, 1]
    longitudes, latitudes = to_crs(CRS, "EPSG:4326", east, north)
    return [[round(x, 8), round(y, 8)] for x, y in zip(longitudes, latitudes, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Render a scene, write it and its ground truth, and print the number of objects by class."""
    parser = argparse.ArgumentParser(description="Render a synthetic aerial scene with its ground truth.")
    parser.add_argument("out", type=Path, metavar="OUT.tif", help="the scene to write")
    parser.add_argument(
        "--truth", type=Path, metavar="OUT.geojson", help="the ground truth to write (default: beside the scene)"
    )
    parser.add_argument("--size", type=int, default=4096, help="side of the scene, pixels (default: %(default)s)")
    parser.add_argument("--gsd", type=float, default=0.5, help="metres per pixel (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same scene (default: %(default)s)")
    options = parser.parse_args(arguments)
    truth = options.truth or options.out.with_suffix(".geojson")
    pixels, objects = render_scene(options.size, options.gsd, options.seed)
    write_scene(options.out, pixels, options.gsd)
    write_truth(truth, objects, options.gsd)
    counts = Counter(item.class_name for item in objects)
    print(options.out, truth, sep="\n")
    for name in CLASSES:
        print(f"{name:<20}{counts[name]:>5}")


if __name__ == "__main__":
    main()
