from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pyproj
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from support.scenes import UTM, noise, write_scene

from lcageo.errors import SceneError, UsageError
from lcageo.scene.georef import Georeference, north_in_picture, parse_crs, pixel_size_m
from lcageo.scene.raster import open_scene

COORDINATES = st.floats(-10_000, 300_000)
PLACES = {
    "north-up": UTM,
    "south-up": rasterio.Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000),
    "rotated": rasterio.Affine.translation(5e5, 5e6) @ rasterio.Affine.rotation(30) @ rasterio.Affine.scale(0.3, -0.3),
}


def reference_of(path: Path) -> Georeference:
    with open_scene(path) as scene:
        return scene.info.georeference


def mosaic(folder: Path, crs: str, transform: rasterio.Affine) -> Path:
    """A VRT file, which stores any CRS and any transform as they are."""
    write_scene(folder / "plain.tif", noise(20, 20))
    path = folder / "a.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="20" rasterYSize="20"><SRS>{escape(crs)}</SRS>'
        f"<GeoTransform>{', '.join(map(str, transform.to_gdal()))}</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">plain.tif'
        "</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


@pytest.mark.parametrize("place", PLACES)
@given(col=COORDINATES, row=COORDINATES)
def test_pixel_to_map_and_back_returns(place: str, col: float, row: float) -> None:
    reference = Georeference(pyproj.CRS(32633), PLACES[place])
    xs, ys = reference.to_map(np.array([col]), np.array([row]))
    assert (xs[0], ys[0]) == pytest.approx(PLACES[place] @ (col, row))
    cols, rows = reference.to_pixel(xs, ys)
    assert (cols[0], rows[0]) == pytest.approx((col, row), abs=1e-6)


def test_ground_control_points_place_a_scene_without_transform(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row, col, 500_000 + 2 * col, 5_000_000 - 2 * row) for row in (0, 50) for col in (0, 40)
    ]
    tags = {"gcps": (points, rasterio.CRS.from_epsg(32633))}
    reference = reference_of(write_scene(tmp_path / "gcps.tif", noise(50, 40), None, None, tags))
    assert reference.kind == "gcps"
    xs, ys = reference.to_map(np.array([[0.0, 40.0]]), np.array([[0.0, 25.0]]))
    assert xs.shape == (1, 2)
    assert xs[0].tolist() == pytest.approx([500_000, 500_080]) and ys[0].tolist() == pytest.approx(
        [5_000_000, 4_999_950]
    )
    cols, rows = reference.to_pixel(xs, ys)
    assert cols[0].tolist() == pytest.approx([0, 40]) and rows[0].tolist() == pytest.approx([0, 25])
    size = pixel_size_m(reference, 40, 50)
    assert size == pytest.approx((2.0, 2.0), rel=1e-3)


def test_rational_polynomials_place_a_scene_without_transform(tmp_path: Path) -> None:
    # The simplest RPC there is: line and sample are linear in latitude and longitude around (48 N, 11 E).
    linear_lat = [0.0, 0.0, -1.0] + [0.0] * 17
    linear_lon = [0.0, 1.0] + [0.0] * 18
    one = [1.0] + [0.0] * 19
    rpc = RPC(
        height_off=500, height_scale=100, lat_off=48, lat_scale=0.01, long_off=11, long_scale=0.01,
        line_off=50, line_scale=50, samp_off=50, samp_scale=50,
        line_num_coeff=linear_lat, line_den_coeff=one, samp_num_coeff=linear_lon, samp_den_coeff=one,
    )  # fmt: skip
    reference = reference_of(write_scene(tmp_path / "rpc.tif", noise(100, 100), None, None, {"rpcs": rpc}))
    assert reference.kind == "rpcs"
    # RPC offsets count from pixel centres: sample 50 is the centre of pixel 50, continuous column 50.5.
    xs, ys = reference.to_map(np.array([50.5, 100.5]), np.array([50.5, 0.5]))
    assert xs.tolist() == pytest.approx([11.0, 11.01], abs=1e-7) and ys.tolist() == pytest.approx([48, 48.01], abs=1e-7)
    cols, rows = reference.to_pixel(xs, ys)
    assert cols.tolist() == pytest.approx([50.5, 100.5], abs=1e-3) and rows.tolist() == pytest.approx(
        [50.5, 0.5], abs=1e-3
    )


@pytest.mark.parametrize(("crs", "transform"), [(None, UTM), ("EPSG:32633", None)])
def test_without_crs_or_transform_map_coordinates_are_pixels(
    tmp_path: Path, crs: str | None, transform: rasterio.Affine | None
) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(20, 30), crs, transform)) as scene:
        assert scene.info.georeference.kind == "none" and scene.info.gsd_m is None
        assert f"has no {'CRS' if crs is None else 'transform'}, so results are in pixels" in scene.info.warnings()[0]
        cols = np.array([3.0])
        assert scene.info.georeference.to_map(cols, cols) == (cols, cols)


LOCAL = 'LOCAL_CS["site grid",UNIT["metre",1]]'
UNDER_HEIGHTS = f'COMPD_CS["site",{LOCAL},VERT_CS["EGM96",VERT_DATUM["EGM96",2005],UNIT["metre",1]]]'


@pytest.mark.parametrize("stored", [LOCAL, UNDER_HEIGHTS, "EPSG:5703"])
def test_a_crs_without_a_place_on_the_earth_gives_way_to_one_that_is_named(tmp_path: Path, stored: str) -> None:
    """GDAL writes local ones where it has none; and heights have no map."""
    path = mosaic(tmp_path, stored, UTM)
    with open_scene(path) as scene:
        (warning,) = scene.info.warnings()
    assert "EPSG:CODE" in warning and ("has no CRS, so results are in pixels" in warning) is (stored == "EPSG:5703")
    with open_scene(path, crs="EPSG:32633") as scene:
        assert scene.info.warnings() == [] and scene.info.gsd_m == pytest.approx(UTM.a, rel=1e-3)
        assert scene.info.georeference.crs == pyproj.CRS(32633)


@pytest.mark.parametrize("step", [0.0, float("nan")])
def test_a_transform_without_extent_is_none(tmp_path: Path, step: float) -> None:
    path = mosaic(tmp_path, "EPSG:32633", rasterio.Affine(step, 0, 5e5, 0, -0.5, 5e6))
    with open_scene(path) as scene:
        assert scene.info.georeference.kind == "none"
        assert "has no transform, so results are in pixels" in scene.info.warnings()[0]


def test_too_few_control_points_are_not_told_as_a_missing_crs(tmp_path: Path) -> None:
    tags = {"gcps": ([GroundControlPoint(0, 0, 5e5, 5e6)], rasterio.CRS.from_epsg(32633))}
    with open_scene(write_scene(tmp_path / "a.tif", noise(20, 30), None, None, tags)) as scene:
        assert "has no transform" in scene.info.warnings()[0]


@pytest.mark.parametrize("text", ["EPSG:7405", "EPSG:32633+5773", "EPSG:4979"])
def test_a_named_crs_may_have_heights(text: str) -> None:
    assert parse_crs(text) == pyproj.CRS(text)


@pytest.mark.parametrize("text", ["EPSG:5703", "EPSG:4978", LOCAL])
def test_a_named_crs_is_one_of_a_map(text: str) -> None:
    with pytest.raises(UsageError, match="is not a CRS of a map; give one like EPSG:4326"):
        parse_crs(text)


@pytest.mark.parametrize(
    ("crs", "transform", "gsd_m"),
    [
        ("EPSG:32633", PLACES["rotated"], 0.3),
        ("EPSG:2263", rasterio.Affine(1, 0, 1e6, 0, -1, 2e5), 0.3048),
        ("EPSG:4326", rasterio.Affine(1e-5, 0, 11, 0, -1e-5, 1e-5), 1e-5 * np.sqrt(111_319.49 * 110_574.28)),
        ("EPSG:3857", rasterio.Affine(1, 0, 0, 0, -1, 8_399_737.9), 0.50084),  # latitude 60
        ("EPSG:27572", rasterio.Affine(0.5, 0, 6e5, 0, -0.5, 2.42e6), 0.5),  # its base is in grads
    ],
)
def test_gsd_is_in_metres_on_the_ground(tmp_path: Path, crs: str, transform: rasterio.Affine, gsd_m: float) -> None:
    with open_scene(write_scene(tmp_path / "a.tif", noise(20, 20), crs, transform)) as scene:
        assert scene.info.gsd_m == pytest.approx(gsd_m, rel=5e-4)


def test_a_crs_that_proj_cannot_calculate_is_refused(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(20, 20), "EPSG:22300")  # Tunisia Mining Grid
    with pytest.raises(SceneError, match=r"has a CRS that cannot be used .* assign the right one with 'rio edit-info"):
        open_scene(scene)


NORTHS = {
    **{name: ("EPSG:32633", place) for name, place in PLACES.items()},
    "mirrored": ("EPSG:32633", rasterio.Affine(-0.5, 0, 500_000, 0, -0.5, 5_000_000)),
    "oblong pixels, turned": (
        "EPSG:32633",
        rasterio.Affine.translation(7e5, 5e6) @ rasterio.Affine.rotation(-70) @ rasterio.Affine.scale(0.3, -0.9),
    ),
    "degrees, turned": (
        "EPSG:4326",
        rasterio.Affine.translation(11, 60) @ rasterio.Affine.rotation(40) @ rasterio.Affine.scale(1e-5, -1e-5),
    ),
    "a grid turned against north": ("EPSG:3413", rasterio.Affine(10, 0, 1_500_000, 0, -10, -1_500_000)),
}


@pytest.mark.parametrize("name", NORTHS)
def test_following_the_arrow_leads_north(name: str) -> None:
    import pyproj

    crs, place = NORTHS[name]
    reference = Georeference(pyproj.CRS(crs), place)
    north = north_in_picture(reference, 400, 300)
    assert north is not None and np.hypot(*north) == pytest.approx(1)
    xs, ys = reference.to_map(np.array([200, 200 + 50 * north[0]]), np.array([150, 150 + 50 * north[1]]))
    longitude, latitude = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(xs, ys)
    azimuth, _, _ = pyproj.Geod(ellps="WGS84").inv(longitude[0], latitude[0], longitude[1], latitude[1])
    assert azimuth == pytest.approx(0, abs=0.05)


def test_a_scene_without_georeference_has_no_north() -> None:
    assert north_in_picture(Georeference(None), 10, 10) is None


def test_control_points_across_the_antimeridian_are_beside_each_other(tmp_path: Path) -> None:
    step = 0.02 / 40
    points = [
        GroundControlPoint(row, col, (179.99 + col * step + 180) % 360 - 180, -17 - row * step)
        for row in (0, 25, 50) for col in (0, 20, 40)
    ]  # fmt: skip
    tags = {"gcps": (points, rasterio.CRS.from_epsg(4326))}
    reference = reference_of(write_scene(tmp_path / "a.tif", noise(50, 40), None, None, tags))
    xs, ys = reference.to_map(np.array([0.0, 20.0, 40.0]), np.zeros(3))
    assert xs % 360 == pytest.approx([179.99, 180.0, 180.01], abs=1e-6) and ys == pytest.approx([-17] * 3, abs=1e-6)
    size = pixel_size_m(reference, 40, 50)
    assert size is not None and max(size) < 70


def test_incomplete_rpcs_are_none(tmp_path: Path) -> None:
    write_scene(tmp_path / "plain.tif", noise(20, 20))
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="20" rasterYSize="20"><Metadata domain="RPC"><MDI key="LINE_OFF">10</MDI></Metadata>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">plain.tif'
        "</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert reference_of(tmp_path / "a.vrt").kind == "none"


def test_a_local_grid_that_counts_pixels_has_no_resolution(tmp_path: Path) -> None:
    """As ENVI's "Arbitrary" one."""
    for origin, known in ((0.0, False), (100.0, True)):
        path = mosaic(tmp_path, 'LOCAL_CS["pixels",UNIT["metre",1]]', rasterio.Affine(1, 0, origin, 0, -1, 0))
        with open_scene(path) as scene:
            assert (scene.info.pixel_size_m is not None) is known
            (line,) = [one for one in scene.info.warnings() if "local CRS" in one]
            assert ("counts pixels" in line) is not known
