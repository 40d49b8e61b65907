from __future__ import annotations

from pathlib import Path

from support.qgis_runs import Qgis


def test_it_writes_a_page(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ended = qgis.run("report", INPUT=searched / "scene.tif", LAYER=searched / "found.gpkg", OUTPUT=page)
    assert ended.code == 0 and ended.results == {"OUTPUT": str(page)}, ended.text
    assert page.read_text().startswith("<!DOCTYPE html>")
