"""On real GeoTIFFs: boxes lie on the map where they lie in the picture, by GDAL's word and by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import shapely
from support.readers import read_layer

from lcageo.config import DetectConfig
from lcageo.inference.scene import SceneResult, detect_scene
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import Predictor, load_predictor
from lcageo.scene.raster import open_scene
from lcageo.vector.features import features
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

NAMES = [
    "dg_coast_epsg4326",
    "haldimand_ortho_1m_utm17",
    "landsat_rgb_uint16_epsg4326",
    "neon_OSBS_029_utm17",
    "nl_canal_rdnew_0.25m",
    "oam_bridge_parking_epsg3395",
    "pix4d_drone_rgba_utm50s",
    "rgba_nodata_epsg3857",
    "s2_casablanca_rgbn_uint16_epsg3857",
    "snow_valley_mask_epsg3857",
    "usgs_hro_colorado_0.15m",
    "usgs_hro_colorado_0.15m_alpha",
    "usgs_hro_colorado_0.15m_nodata",
]
CONFIG = DetectConfig(score=0.015, max_per_tile=20, overlap="10%")


@pytest.fixture(scope="module")
def predictor(untrained: Path) -> Predictor:
    return load_predictor(find_card(str(untrained)), CONFIG, "cpu")


def detect(path: Path, predictor: Predictor) -> SceneResult:
    with open_scene(path) as scene:
        return detect_scene(scene, predictor, CONFIG, 4, warn=lambda line: None)


def gdal_geotransform(path: Path) -> list[float]:
    """As Debian's gdalinfo reads it, which is another GDAL than ours."""
    if shutil.which("gdalinfo") is None:
        pytest.skip("SKIPPED FOR LACK OF A TOOL: gdalinfo is not installed (Debian package gdal-bin)")
    described = subprocess.run(["gdalinfo", "-json", str(path)], check=True, capture_output=True)
    transform: list[float] = json.loads(described.stdout)["geoTransform"]
    return transform


@pytest.mark.parametrize("name", NAMES)
def test_corners_on_the_map_are_those_of_the_boxes_in_the_picture(
    name: str, real_scenes: list[Path], predictor: Predictor, tmp_path: Path
) -> None:
    path = next(path for path in real_scenes if path.stem == name)
    result = detect(path, predictor)
    boxes = result.detections.boxes_xyxy
    assert len(boxes) > 0
    reference = result.summary.info.georeference
    layer = features(result.detections, result.summary.classes, reference.to_map, reference.crs, name)
    write_layer([layer], result.summary.record, FileTarget.of(tmp_path / "found.gpkg"))
    x0, ax, bx, y0, ay, by = gdal_geotransform(path)
    limits = np.array([result.summary.info.width, result.summary.info.height] * 2)
    assert (boxes >= 0).all() and (boxes <= limits).all()
    read = read_layer(tmp_path / "found.gpkg")
    for (left, top, right, bottom), polygon in zip(boxes.tolist(), read.geometry, strict=True):
        expected = np.array(
            [(x0 + ax * c + bx * r, y0 + ay * c + by * r) for c in (left, right) for r in (top, bottom)]
        )
        found = shapely.get_coordinates(polygon)[:-1]
        apart = np.abs(expected[:, None] - found[None]).max(axis=-1)  # (4, 4)
        assert apart.min(axis=1).max() <= abs(ax) * 1e-3  # a thousandth of a pixel


def test_the_list_of_scenes_is_complete(real_scenes: list[Path]) -> None:
    assert [path.stem for path in real_scenes] == NAMES


def test_the_untagged_black_edge_is_seen(real_scenes: list[Path], predictor: Predictor) -> None:
    path = next(path for path in real_scenes if "oam_bridge" in path.stem)
    assert detect(path, predictor).summary.record.edge_nodata == "0"


def test_16_bit_scenes_use_their_range(real_scenes: list[Path], predictor: Predictor) -> None:
    path = next(path for path in real_scenes if "casablanca" in path.stem)
    stretch = detect(path, predictor).summary.stretch
    assert not stretch.is_identity and all(
        100 < low < high < 30_000 for low, high in zip(stretch.low, stretch.high, strict=True)
    )
