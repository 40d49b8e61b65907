from __future__ import annotations

from pathlib import Path

import pytest
from support.qgis_runs import Qgis
from support.readers import read_layer


def test_it_counts_what_is_right(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    rows = read_layer(searched / "found.gpkg").rows
    truth = tmp_path / "truth.gpkg"
    ended = qgis.run("filter", INPUT=searched / "found.gpkg", SCORE=0.02, TOP=10, OUTPUT=truth)
    assert ended.code == 0, ended.text
    ended = qgis.run(
        "compare", INPUT=searched / "found.gpkg", TRUTH=truth, IOU=0.99, OUTPUT=tmp_path / "differences.gpkg"
    )
    assert ended.code == 0 and ended.results["OUTPUT"] == str(tmp_path / "differences.gpkg"), ended.text
    assert float(ended.results["RECALL"]) == 1
    assert float(ended.results["PRECISION"]) == pytest.approx(10 / len(rows))
    assert len(read_layer(tmp_path / "differences.gpkg").rows) >= len(rows)
