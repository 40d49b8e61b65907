"""Sizes on the ground, and longitude and latitude from any CRS."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
from support.layers import BOXES, CLASSES, FOUND, LOCAL_WKT, PLACES, RECORD, layer_at, write_layer
from support.readers import read_layer

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.geodesy import to_longitude_latitude
from lcageo.scene.georef import Georeference
from lcageo.vector.features import features

FOOT_M = 1200 / 3937


@pytest.mark.parametrize(
    ("place", "across", "down"),
    [
        ("feet", FOOT_M, FOOT_M),
        ("rotated", 0.5, 0.5),
        ("degrees", 1e-5 * np.pi / 180 * 6_388_838.3 * np.cos(np.radians(48)), 1e-5 * np.pi / 180 * 6_371_000),
    ],
)
def test_sizes_are_metres_whatever_the_crs(place: str, across: float, down: float) -> None:
    layer = layer_at(place)
    sides = BOXES[:, 2:] - BOXES[:, :2]
    assert layer["width_m"].to_numpy() == pytest.approx(sides[:, 0] * across, rel=2e-3, abs=0.01)
    assert layer["height_m"].to_numpy() == pytest.approx(sides[:, 1] * down, rel=2e-3, abs=0.01)
    assert layer["area_m2"].to_numpy() == pytest.approx(sides.prod(axis=1) * across * down, rel=4e-3, abs=0.01)


def test_areas_agree_with_geodesic_polygons() -> None:
    for place in PLACES:
        layer = layer_at(place)
        degrees = layer.to_crs(4326)
        geod = pyproj.Geod(ellps="WGS84" if place != "feet" else "GRS80")
        areas = [abs(geod.geometry_area_perimeter(geometry)[0]) for geometry in degrees.geometry]
        assert layer["area_m2"].to_numpy() == pytest.approx(areas, rel=1e-4, abs=0.006)


def test_a_crs_without_longitude_and_latitude_needs_another_format(tmp_path: Path) -> None:
    crs = pyproj.CRS.from_wkt(LOCAL_WKT)
    assert not to_longitude_latitude(crs) and to_longitude_latitude(pyproj.CRS(2263))
    layer = features(FOUND, CLASSES, Georeference(crs, PLACES["utm"][1]).to_map, crs, "s")
    with pytest.raises(OutputError, match=r"cannot be transformed to longitude and latitude .* such as \.gpkg"):
        write_layer(layer, RECORD, tmp_path / "found.geojson")
    write_layer(layer, RECORD, tmp_path / "found.gpkg")
    assert len(read_layer(tmp_path / "found.gpkg").rows) == 3


def test_coordinates_outside_their_crs_are_an_error_not_empty_shapes(tmp_path: Path) -> None:
    off = Georeference(pyproj.CRS(32633), rasterio.Affine(1e7, 0, 1e9, 0, -1e7, 1e9))
    with pytest.raises(OutputError, match="cannot be transformed to longitude and latitude"):
        write_layer(features(FOUND, CLASSES, off.to_map, off.crs, "s"), RECORD, tmp_path / "found.geojson")


@pytest.mark.parametrize(
    "transform",
    [rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 6_000_000), rasterio.Affine(1e-5, 0, 52.5, 0, -1e-5, 104.9)],
    ids=["metres", "latitude first"],
)
def test_numbers_that_are_no_longitudes_and_latitudes_are_not_written_as_such(
    tmp_path: Path, transform: rasterio.Affine
) -> None:
    wrong = Georeference(pyproj.CRS(4326), transform)
    layer = features(FOUND, CLASSES, wrong.to_map, wrong.crs, "s")
    with pytest.raises(OutputError, match=r"coordinates outside the CRS.* such as \.gpkg"):
        write_layer(layer, RECORD, tmp_path / "found.geojson")
    write_layer(layer, RECORD, tmp_path / "found.csv")
    rows = read_layer(tmp_path / "found.csv").rows
    assert len(rows) == 3 and not any(row["longitude"] or row["latitude"] for row in rows)


def test_a_box_around_a_pole_is_all_around_it(tmp_path: Path) -> None:
    polar = Georeference(pyproj.CRS(3413), rasterio.Affine(1, 0, -50, 0, -1, 50))
    around = Detections(np.array([[40.0, 30.0, 60.0, 70.0]]), np.array([0.9], np.float32), np.array([0]))
    write_layer(features(around, CLASSES, polar.to_map, polar.crs, "s"), RECORD, tmp_path / "found.geojson")
    west, south, east, north = geopandas.read_file(tmp_path / "found.geojson").total_bounds
    reach = np.hypot(10, 20) / 111_000
    assert (west, east, north) == (-180, 180, 90) and 90 - south == pytest.approx(reach, rel=0.05)


def test_boxes_around_and_beyond_a_pole_are_written(tmp_path: Path) -> None:
    polar = Georeference(pyproj.CRS(3413), rasterio.Affine(1, 0, -50, 0, -1, 50))
    beyond = Georeference(pyproj.CRS(4326), rasterio.Affine(0.01, 0, 10, 0, -0.01, 90.3))
    for reference in (polar, beyond):
        write_layer(
            features(FOUND, CLASSES, reference.to_map, reference.crs, "s"),
            RECORD,
            tmp_path / "found.geojson",
        )
        assert len(read_layer(tmp_path / "found.geojson").rows) == 3
