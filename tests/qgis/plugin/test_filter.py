from __future__ import annotations

from pathlib import Path

from support.qgis_runs import Qgis
from support.readers import read_layer


def test_it_chooses_from_a_layer(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    rows = read_layer(searched / "found.gpkg").rows
    name = max({row["class"] for row in rows}, key=[row["class"] for row in rows].count)
    ended = qgis.run(
        "filter", INPUT=searched / "found.gpkg", SCORE=0.025, CLASSES=name, TOP=5, CRS="EPSG:4326",
        OUTPUT=tmp_path / "chosen.gpkg",
    )  # fmt: skip
    assert ended.code == 0 and ended.results == {"OUTPUT": str(tmp_path / "chosen.gpkg")}, ended.text
    expected = sorted((row["score"] for row in rows if row["class"] == name and row["score"] >= 0.025), reverse=True)
    chosen = read_layer(tmp_path / "chosen.gpkg")
    assert [row["score"] for row in chosen.rows] == expected[:5]
    assert all(abs(shape.centroid.x) <= 180 for shape in chosen.geometry)


def test_a_filter_of_qgis_leaves_candidates_candidates(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    rows = read_layer(searched / "found.gpkg").rows
    name = max({row["class"] for row in rows}, key=[row["class"] for row in rows].count)
    scores = [row["score"] for row in rows if row["class"] == name]
    source = f"{searched / 'found.gpkg'}|layername=found|subset=\"class\" = '{name}'"
    ended = qgis.run("filter", INPUT=source, OUTPUT=tmp_path / "chosen.gpkg")
    assert ended.code == 0, ended.text
    expected = sorted(score for score in scores if score >= 0.03)
    assert sorted(row["score"] for row in read_layer(tmp_path / "chosen.gpkg").rows) == expected != sorted(scores)
