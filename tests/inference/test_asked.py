"""Scenes as a run asks for them: basemaps with an area, JPEGs with a CRS."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
import shapely
from PIL import Image
from support.scenes import noise, write_scene

from lcageo.config import DetectConfig
from lcageo.errors import UsageError
from lcageo.inference.asked import open_asked
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.scene.basemap import xyz_definition

ADDRESS = "xyz:http://127.0.0.1:9/{z}/{x}/{y}.png"
BOX = (4.0, 52.0, 4.001, 52.001)


@pytest.fixture
def card(untrained: Path) -> ModelCard:
    return find_card(str(untrained))


def test_a_basemap_is_opened_where_and_as_finely_as_asked_for(card: ModelCard, tmp_path: Path) -> None:
    config = DetectConfig(bbox=BOX, bbox_crs="EPSG:4326")
    with open_asked(ADDRESS, card, config) as scene:
        finest, coarsest = card.gsd_m
        assert finest <= (scene.info.gsd_m or 0) <= coarsest
    with open_asked(ADDRESS, card, DetectConfig(bbox=BOX, bbox_crs="EPSG:4326", gsd=1.5)) as scene:
        assert scene.info.gsd_m == pytest.approx(1.47, rel=0.01)  # zoom 16
    area = shapely.box(*BOX)
    geopandas.GeoDataFrame(geometry=[area], crs=4326).to_crs(32631).to_file(tmp_path / "aoi.gpkg")
    with open_asked(ADDRESS, card, DetectConfig(aoi=tmp_path / "aoi.gpkg", gsd=1.5)) as scene:
        assert 45 < scene.info.width < 52 and 74 < scene.info.height < 80


def test_a_basemap_without_an_area_is_refused(card: ModelCard, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a basemap, which shows the whole world; name an area of it with --bbox"):
        open_asked(ADDRESS, card, DetectConfig())
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)]).to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(UsageError, match="has no CRS, so it has no place on a basemap"):
        open_asked(ADDRESS, card, DetectConfig(aoi=tmp_path / "bare.parquet"))


def test_a_basemap_that_its_address_does_not_show_is_named(card: ModelCard, tmp_path: Path) -> None:
    """It may be the address of a WMTS's capabilities, or a file of any name."""
    path = tmp_path / "map.txt"
    path.write_text(xyz_definition(ADDRESS))
    with pytest.raises(UsageError, match=r"map\.txt' is a basemap; put WMS: before its address, and name an area"):
        open_asked(str(path), card, DetectConfig())


def test_a_photograph_with_a_world_file_gets_the_crs_that_is_given(card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "scan.jpg"
    Image.fromarray(noise(40, 60).transpose(1, 2, 0)).save(path)
    path.with_suffix(".jgw").write_text("0.5\n0\n0\n-0.5\n500000.25\n4999999.75\n")
    with open_asked(str(path), card, DetectConfig()) as scene:
        assert scene.info.georeference.crs is None and "give it with --crs EPSG:CODE" in scene.info.warnings()[0]
    with open_asked(str(path), card, DetectConfig(crs="EPSG:32633")) as scene:
        place = scene.info.georeference
        assert place.crs is not None and place.crs.to_epsg() == 32633 and place.affine is not None
        assert tuple(place.affine)[:6] == (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
        assert scene.info.gsd_m == pytest.approx(0.5, rel=0.001) and not scene.info.warnings()
    with pytest.raises(UsageError, match="--crs 'EPSG:1' is not a CRS that PROJ knows"):
        open_asked(str(path), card, DetectConfig(crs="EPSG:1"))


def test_a_crs_of_the_file_is_kept_with_a_word(card: ModelCard, tmp_path: Path) -> None:
    scene_file = write_scene(tmp_path / "scene.tif", noise(40, 60))
    with open_asked(str(scene_file), card, DetectConfig(crs="EPSG:32631")) as scene:
        assert scene.info.georeference.crs is not None and scene.info.georeference.crs.to_epsg() == 32633
        assert any("--crs EPSG:32631 is not used" in line for line in scene.info.warnings())
