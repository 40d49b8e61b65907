"""`qgis_process run lcageo:detect`, as in the toolbox, models and batches."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
from support.qgis_runs import Qgis
from support.readers import qgis_opens, read_layer
from support.scenes import UTM, noise, write_scene

from lcageo.journal.journal import journal_path


def test_it_writes_layers_that_open_with_their_style(searched: Path, qgis: Qgis) -> None:
    opened = qgis_opens([str(searched / "found.gpkg")], qgis.home)[str(searched / "found.gpkg")]
    assert opened["features"] == len(read_layer(searched / "found.gpkg").rows) > 20
    assert opened["renderer"] == "categorizedSymbol" and "(candidate)" in opened["attribute"]
    with sqlite3.connect(searched / "review.gpkg") as base:
        assert "ValueMap" in base.execute("SELECT styleQML FROM layer_styles").fetchone()[0]
    base.close()


def test_the_command_in_the_log_gives_the_same_layer(searched: Path, qgis: Qgis, tmp_path: Path) -> None:
    (line,) = [one for one in (searched / "log.txt").read_text().splitlines() if one.startswith(str(qgis.command))]
    pasted = line.replace(str(searched / "found.gpkg"), str(tmp_path / "found.gpkg"))
    pasted = pasted.replace(str(searched / "review.gpkg"), str(tmp_path / "review.gpkg"))
    subprocess.run(shlex.split(pasted), check=True, capture_output=True)
    assert read_layer(tmp_path / "found.gpkg") == read_layer(searched / "found.gpkg")


def test_its_messages_reach_the_log(searched: Path) -> None:
    log = (searched / "log.txt").read_text()
    assert "9 tiles run" in log and "candidates below the thresholds" in log


def test_only_the_extent_or_the_area_is_searched(qgis: Qgis, untrained: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(600, 600))  # half a metre per pixel
    area = shapely.box(UTM.c, UTM.f - 150, UTM.c + 150, UTM.f)
    for name in ("area", "other"):  # two layers in one file
        there = area if name == "area" else shapely.affinity.translate(area, 1e5)
        geopandas.GeoDataFrame(geometry=[there], crs="EPSG:32633").to_file(tmp_path / "areas.gpkg", layer=name)
    aoi = f"{tmp_path / 'areas.gpkg'}|layername=area"
    west, south, east, north = geopandas.GeoSeries([area], crs=32633).to_crs(4326).total_bounds.tolist()
    extent = f"{west},{east},{south},{north} [EPSG:4326]"
    common = {"INPUT": scene, "MODEL_FOLDER": untrained, "SCORE": 0.03}
    for name, chosen in (("aoi", {"AOI": aoi}), ("extent", {"EXTENT": extent})):
        ended = qgis.run("detect", **common, **chosen, OUTPUT=tmp_path / f"{name}.geojson")
        assert ended.code == 0 and ("--bbox-crs EPSG:4326" in ended.text) == (name == "extent"), ended.text
        found = geopandas.read_file(tmp_path / f"{name}.geojson").to_crs(32633)
        assert len(found) and found.centroid.within(area.buffer(2)).all()
    ended = qgis.run("detect", **common, AOI=aoi, EXTENT=extent, OUTPUT=tmp_path / "both.geojson")
    assert ended.code != 0 and "an extent or an area of interest, not both" in ended.text


def test_objects_have_the_crs_that_is_assigned_to_the_imagery(dialog: dict[str, Any]) -> None:
    assert "results" in dialog["assigned"]["detect"], dialog["assigned"]["detect"]
    found = geopandas.read_file(dialog["folder"] / "photo.gpkg", layer="photo")
    assert found.crs == "EPSG:3395" and len(found)
    assert found.centroid.within(shapely.box(500_000, 4_999_850, 500_150, 5_000_000)).all()


def test_errors_are_those_of_the_command(qgis: Qgis, untrained: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(100, 100))
    ended = qgis.run("detect", INPUT=scene, MODEL_FOLDER=untrained, CLASSES="submarine", OUTPUT=tmp_path / "found.gpkg")
    assert ended.code != 0 and "submarine" in ended.text and "Traceback" not in ended.text


def test_ctrl_c_stops_it_so_that_it_can_be_resumed(qgis: Qgis, untrained: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(1500, 1500))
    parameters = {
        "INPUT": scene, "MODEL_FOLDER": untrained, "SCORE": 0.03, "OUTPUT": tmp_path / "found.gpkg",
        "EXTRA": "--backend torch --batch 1",
    }  # fmt: skip
    qgis.interrupted(journal_path(tmp_path / "found.gpkg"), "detect", **parameters)
    assert not (tmp_path / "found.gpkg").exists()
    ended = qgis.run("detect", **parameters)
    assert ended.code == 0 and (tmp_path / "found.gpkg").exists(), ended.text


@pytest.mark.slow
def test_the_default_model_on_a_real_scene(qgis: Qgis, real_scenes: list[Path], tmp_path: Path) -> None:
    scene = min(real_scenes, key=lambda path: path.stat().st_size)
    ended = qgis.run("detect", INPUT=scene, OUTPUT=tmp_path / "found.gpkg")
    assert ended.code == 0, ended.text
    about = qgis_opens([str(tmp_path / "found.gpkg")], qgis.home)[str(tmp_path / "found.gpkg")]
    assert about["valid"] and about["renderer"] == "categorizedSymbol"
