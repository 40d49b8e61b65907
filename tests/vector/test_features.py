"""Sizes on the ground, and longitude and latitude from any CRS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from support.layers import BOXES, CLASSES, FOUND, LOCAL_WKT, PLACES, RECORD, layer_at, write_layer
from support.readers import read_layer

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.geodesy import to_longitude_latitude
from lcageo.scene.georef import Georeference
from lcageo.vector.features import features, to_wgs84

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


def in_degrees(*shapes: Any, crs: int = 4326) -> list[Any]:
    """Shapes as GeoJSON has them."""
    shown: list[Any] = to_wgs84(geopandas.GeoDataFrame(geometry=list(shapes), crs=crs)).geometry.tolist()
    return shown


@given(st.floats(-540, 539), st.floats(0.01, 170), st.floats(-90, 89))
def test_a_box_is_the_same_place_whichever_turn_its_longitudes_are_of(west: float, width: float, south: float) -> None:
    width = min(width, 540 - west)
    (shown,) = in_degrees(shapely.box(west, south, west + width, south + 1))
    assert shapely.bounds(shown)[[0, 2]] == pytest.approx(np.clip(shapely.bounds(shown)[[0, 2]], -180, 180))
    assert shown.is_valid and shown.area == pytest.approx(width)
    inside = west + width * np.array([0.001, 0.3, 0.5, 0.8, 0.999])
    assert shapely.distance(shown, shapely.points((inside + 180) % 360 - 180, south + 0.5)).max() < 1e-9


@pytest.mark.parametrize(
    ("start", "column", "west", "east"),
    [(0, 3590, -1, 0), (180, 1790, -1, 0), (180, 1795, -0.5, 0.5), (-180, 3590, 179, 180)],
)
def test_a_box_at_the_end_of_a_global_raster_does_not_go_round_the_globe(
    tmp_path: Path, start: int, column: int, west: float, east: float
) -> None:
    world = Georeference(pyproj.CRS(4326), rasterio.Affine(0.1, 0, start, 0, -0.1, 90))
    last = Detections(np.array([[column, 100.0, column + 10, 110.0]]), np.array([0.9], np.float32), np.array([0]))
    write_layer(features(last, CLASSES, world.to_map, world.crs, "s"), RECORD, tmp_path / "found.geojson")
    (shape,) = read_layer(tmp_path / "found.geojson").geometry
    assert shape.geom_type == "Polygon" and shape.bounds == pytest.approx((west, 79, east, 80))


@pytest.mark.parametrize("crs", [3031, 3413])
def test_a_box_that_holds_a_pole_is_all_of_the_place_in_geojson(tmp_path: Path, crs: int) -> None:
    polar = Georeference(pyproj.CRS(crs), rasterio.Affine(1, 0, -7, 0, -1, 8))
    box = Detections(np.array([[0.0, 0.0, 20.0, 10.0]]), np.array([0.9], np.float32), np.array([0]))
    layer = features(box, CLASSES, polar.to_map, polar.crs, "s")
    write_layer(layer, RECORD, tmp_path / "found.geojson")
    (shape,) = read_layer(tmp_path / "found.geojson").geometry
    assert shape.is_valid
    outline = shapely.get_coordinates(shapely.segmentize(layer.geometry[0], 0.1))
    for share in (1.0, 0.5, 1e-3):
        at = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(*(outline * share).T)
        assert shapely.distance(shape, shapely.points(*at)).max() < 1e-7
    pole = -90 if crs == 3031 else 90
    assert all(shape.covers(shapely.Point(longitude, pole)) for longitude in range(-180, 181, 30))
    corner = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(13, 8)[1]
    assert max(abs(shape.bounds[1]), abs(shape.bounds[3])) == 90 and shape.envelope.area == pytest.approx(
        360 * (90 - abs(corner)), rel=1e-3
    )


def test_a_box_that_touches_the_antimeridian_but_for_rounding_stays_whole() -> None:
    for box in (shapely.box(179, 0, np.nextafter(180, 181), 1), shapely.box(np.nextafter(180, 0), 0, 181, 1)):
        (shown,) = in_degrees(box)
        assert shown.geom_type == "Polygon" and shown.area == pytest.approx(1)


def test_wide_shapes_with_holes_and_without_a_place_are_cut_right() -> None:
    hole = shapely.box(179, 1, 181, 2)
    ring = shapely.difference(shapely.box(170, 0, 190, 3), hole)
    split = shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)])
    wrapped = shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
    world = shapely.box(-180, -90, 180, 90)
    polar = shapely.Polygon([(-180, -70), (-90, -65), (0, -70), (90, -65), (180, -70), (180, -90), (-180, -90)])
    line, point = shapely.LineString([(179, 0), (181, 1)]), shapely.Point(185, 3)
    shown = in_degrees(ring, split, wrapped, world, polar, line, point, None)
    assert shown[0].area == pytest.approx(58) and not shown[0].intersects(shapely.Point(-179.5, 1.5))
    assert shown[0].covers(shapely.Point(-175, 1)) and shown[0].covers(shapely.Point(175, 1))
    for one in shown[1:3]:
        assert sorted(part.bounds for part in one.geoms) == [(-180, 0, -179, 1), (179, 0, 180, 1)]
    assert shown[3].equals(world) and shown[4].equals(polar)
    assert shown[5:7] == [line, shapely.Point(-175, 3)] and shown[7] is None
