"""What people have instead of a file: layers and scenes on servers, basemaps, STAC items, layers in a GeoPackage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from PIL import Image
from support.commands import Run
from support.mapserver import map_service
from support.onnx_detectors import coloured, write_detector
from support.scenes import UTM, noise, write_scene
from support.servers import served
from support.stac_items import TIFF, write_item
from support.tiles import LEFT, TOP, ZOOM, bounds_m, gsd_m, picture, write_tiles

from lcageo.runtime.layouts import Layout


def _area(path: Path, layer: str | None = None) -> Path:
    """The upper left quarter of a scene of 300 pixels."""
    area = shapely.box(UTM.c, UTM.f - 75, UTM.c + 75, UTM.f)
    frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[area], crs="EPSG:32633")
    frame.to_file(path) if layer is None else frame.to_file(path, layer=layer)
    return path


def test_an_area_on_a_server_and_one_of_several_layers_are_the_same(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(300, 300))
    (tmp_path / "shared").mkdir()
    _area(tmp_path / "shared" / "area.geojson")
    for name in ("area", "other"):
        _area(tmp_path / "all.gpkg", name)
    with served(tmp_path / "shared") as server:
        areas = (server.url("area.geojson?token=S3cret"), "all.gpkg|layername=area")
        told = [run("detect", "scene.tif", "--model", untrained, "--aoi", area, "-o", f"{number}.gpkg", "--json")
                for number, area in enumerate(areas)]  # fmt: skip
        labels = server.url("area.geojson")
        chips = run("chips", "scene.tif", "--labels", labels, "-o", "chips", "--size", 128, "--val", 0)
    assert [one.code for one in told] == [0, 0] and chips.code == 0, [one.err for one in (*told, chips)]
    one, other = (json.loads(outcome.out)[0]["provenance"]["tiles"] for outcome in told)
    assert one == other and one["outside_area_of_interest"] >= 0
    assert "S3cret" not in "".join(outcome.out + outcome.err for outcome in told)
    refused = run("detect", "scene.tif", "--model", untrained, "--aoi", "all.gpkg", "-o", "c.gpkg")
    assert refused.code == 2 and "several layers (area, other); name one, in quotes:" in refused.err


def test_a_basemap_needs_an_area_and_then_is_a_scene(run: Run, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    write_tiles(tmp_path / "tiles", picture())
    box = ",".join(map(repr, bounds_m(20, 30, 240, 250)))
    with served(tmp_path / "tiles") as server:
        address = "xyz:" + server.url("{z}/{x}/{y}.png")
        refused = run("detect", address, "--model", untrained)
        assert refused.code == 2 and "is a basemap" in refused.err and "--bbox-crs EPSG:4326" in refused.err
        command = ("detect", address, "--model", untrained, "--bbox", box, "--gsd", f"{gsd_m():.3f}")
        assert run(*command, "--dry-run").code == 0
        done = run(*command, "--score", "0.02", "-o", "found.gpkg")
        assert done.code == 0, done.err
        asked = set(server.requests())
        coarser = run(*command[:-1], f"{2 * gsd_m():.3f}", "-o", "none.gpkg")
        assert coarser.code == 0 and "has no tile there: check the URL and the area, or take a coarser" in coarser.err
    assert asked == {f"/{ZOOM}/{LEFT}/{TOP}.png"}
    described = run("info", address)
    assert described.code == 2 and "with --bbox or --aoi describes an area of it" in described.err
    found = geopandas.read_file(tmp_path / "found.gpkg", layer="found")
    assert found.crs.to_epsg() == 3857 and set(found["scene"]) == {"127.0.0.1"}
    page = run("report", address, "found.gpkg", "-o", "page.html")
    assert page.code == 2 and "save the area as a GeoTIFF" in page.err


def test_a_web_map_service_shows_the_objects_of_its_scene(run: Run, tmp_path: Path) -> None:
    """MapServer over a GeoTIFF, read through GDAL's definition: of the area, the same objects as in the file."""
    cells = [(5, 5, 0), (20, 9, 1), (26, 26, 2), (50, 12, 1), (40, 60, 0)]
    scene = write_scene(tmp_path / "scene.tif", coloured(512, 512, cells), photometric="rgb")
    write_detector(tmp_path / "a.onnx", Layout.ULTRALYTICS)
    area = (UTM.c, UTM.f - 128, UTM.c + 128, UTM.f)  # the upper left quarter: all cells but the last two
    frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.box(*area)], crs="EPSG:32633")
    frame.to_crs(4326).to_file(tmp_path / "area.geojson")
    with map_service(scene) as service:
        basemap = service.definition(tmp_path / "service.xml")
        command = ("detect", basemap, "--model", "a.onnx")
        refused = run(*command)
        assert refused.code == 2 and "is a basemap" in refused.err and "--bbox" in refused.err
        bare = run("detect", f"WMS:{service.url}", "--model", "a.onnx", "--bbox", ",".join(map(repr, area)))
        assert bare.code == 2 and "several layers, not one" in bare.err and "rio info --subdatasets" in bare.err
        assert not service.maps()
        outcomes = [
            run(*command, "--bbox", ",".join(map(repr, area)), "-o", "bbox.gpkg"),
            run(*command, "--aoi", "area.geojson", "-o", "aoi.gpkg"),
        ]
        maps = np.array(service.maps())
    done = run("detect", "scene.tif", "--model", "a.onnx", "-o", "file.gpkg")
    assert [one.code for one in (done, *outcomes)] == [0, 0, 0], [one.err for one in (done, *outcomes)]
    assert np.allclose((maps[:, 2] - maps[:, 0]) / maps[:, 4], 0.5)  # metres a pixel: the scene's own
    assert (maps[:, 0] <= area[2]).all() and (maps[:, 3] >= area[1]).all() and len(maps) >= 2
    of_file = _objects(tmp_path / "file.gpkg")
    assert len(of_file) == len(cells)
    inside = {one for one in of_file if shapely.box(*area).contains(shapely.box(*one[1:]))}
    assert len(inside) == 3 and _objects(tmp_path / "bbox.gpkg") == inside
    # The area of a polygon in degrees begins at another pixel, and this detector's boxes keep to its cells of 4 m.
    of_area = _objects(tmp_path / "aoi.gpkg")
    assert all(any(_is_near(one, other) for other in inside) for one in of_area)
    assert all(any(_is_near(one, other) for other in of_area) for one in inside)


def _is_near(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return one[0] == other[0] and bool(np.allclose(one[1:], other[1:], rtol=0, atol=4))


def _objects(path: Path) -> set[tuple[Any, ...]]:
    """Class and bounds of each object, to a centimetre."""
    found = geopandas.read_file(path, layer=path.stem)
    return {
        (name, *bounds) for name, bounds in zip(found["class"], found.bounds.round(2).to_numpy().tolist(), strict=True)
    }


def test_a_stac_items_id_is_in_the_record(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "rgb.tif", noise(200, 200))
    write_item(tmp_path / "item.json", {"visual": {"href": "rgb.tif", "type": TIFF, "roles": ["visual"]}})
    done = run("detect", "item.json", "--model", untrained, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)[0]["provenance"]
    assert (record["scene"], record["stac_item"]) == ("item.json", "S2A_1")


def test_a_scanned_photograph_is_placed_by_its_world_file(run: Run, untrained: Path, tmp_path: Path) -> None:
    Image.fromarray(np.moveaxis(noise(200, 200), 0, -1)).save(tmp_path / "scan.png")
    (tmp_path / "scan.pgw").write_text("0.5\n0\n0\n-0.5\n500000.25\n4999999.75\n")
    crs = ("--crs", "EPSG:32633")
    done = run("detect", "scan.png", "--model", untrained, "--score", "0.02", "-o", "found.gpkg", *crs)
    assert done.code == 0 and "has no CRS" not in done.err, done.err
    found = geopandas.read_file(tmp_path / "found.gpkg", layer="found")
    assert found.crs.to_epsg() == 32633 and shapely.box(500_000, 4_999_900, 500_100, 5_000_000).covers(
        found.union_all()
    )
    assert "EPSG:32633" in run("info", "scan.png", *crs).out
    page = run("report", "scan.png", "found.gpkg", "-o", "page.html")  # the layer says what was given
    assert page.code == 0 and "EPSG:32633" in (tmp_path / "page.html").read_text()


def test_chips_are_cut_from_a_basemap(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    write_tiles(tmp_path / "tiles", picture())
    boxes = {"labels": [shapely.box(*bounds_m(x, x, x + 20, x + 20)) for x in (60, 120)]}
    boxes["area"] = [shapely.box(*bounds_m(20, 20, 230, 230))]
    for name, shapes in boxes.items():
        frame = geopandas.GeoDataFrame({"class": ["hut"] * len(shapes)}, geometry=shapes, crs="EPSG:3857")
        frame.to_file(tmp_path / "site.gpkg", layer=name)
    with served(tmp_path / "tiles") as server:
        source = ("chips", "xyz:" + server.url("{z}/{x}/{y}.png"), "--labels", "site.gpkg|layername=labels")
        refused = run(*source, "-o", "chips", "--aoi", "site.gpkg|layername=area")
        assert refused.code == 2 and "is a basemap, which has many resolutions; name one with --gsd" in refused.err
        size = ("--gsd", f"{gsd_m():.4f}", "--size", 128, "--val", 0, "-o", "chips")
        assert "name an area of it" in run(*source, *size).err
        made = run(*source, *size, "--aoi", "site.gpkg|layername=area")
    assert made.code == 0, made.err
    content = json.loads((tmp_path / "chips" / "train.json").read_text())
    assert {image["scene"] for image in content["images"]} == {source[1]} and content["annotations"]
