from __future__ import annotations

from pathlib import Path
from typing import Any

from support.qgis_runs import Qgis


def test_it_writes_a_page(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ended = qgis.run("report", INPUT=searched / "scene.tif", LAYER=searched / "found.gpkg", OUTPUT=page)
    assert ended.code == 0 and ended.results == {"OUTPUT": str(page)}, ended.text
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_a_crs_that_is_assigned_to_the_imagery_is_used(dialog: dict[str, Any]) -> None:
    about = dialog["assigned"]["report"]
    assert "results" in about and f"{dialog['folder'] / 'photo.jpg'} --crs EPSG:3395 " in about["log"], about
