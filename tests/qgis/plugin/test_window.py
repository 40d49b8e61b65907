"""The loop of the guide, with the mouse, in QGIS's window."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import geopandas
import pytest
from support.qgis_runs import Qgis

from lcageo.runtime.catalog import DEFAULT_MODEL

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def looped(qgis: Qgis, rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `qgis_window_loop.py` sees."""
    folder = tmp_path_factory.mktemp("window")
    seen = qgis.window("qgis_window_loop.py", folder, rendered / "scene.tif", DEFAULT_MODEL, folder)
    return {**seen, "folder": folder}


def test_run_adds_layers_with_their_style(looped: dict[str, Any]) -> None:
    assert looped["styles"].items() >= {"found": "categorizedSymbol", "review": "categorizedSymbol"}.items()
    assert "Algorithm 'Detect objects' finished" in looped["detected"] and " tiles run" in looped["detected"]


def test_cancel_stops_a_run_that_run_continues(looped: dict[str, Any]) -> None:
    assert "run it again with the same files to continue" in looped["stopped"] and not looped["written"]
    assert "resumes after" in looped["resumed"].removeprefix(looped["stopped"])
    assert len(geopandas.read_file(looped["folder"] / "again.gpkg", layer="again")) > 0


def test_a_verdict_given_in_the_form_reaches_the_chips(looped: dict[str, Any]) -> None:
    assert looped["boxes"].keys() >= {"verdict", "new_class"}
    review = geopandas.read_file(looped["folder"] / "review.gpkg", layer="review").set_index("id")
    assert review["verdict"].dropna().to_dict() == {looped["judged"]: "wrong"}
    found = geopandas.read_file(looped["folder"] / "found.gpkg", layer="found")
    kept = Counter(found["class"]) - Counter([review.loc[looped["judged"], "class"]])
    told = " ".join(looped["chips"].split())
    assert [name for name, count in kept.items() if f"labels of {name} {count} " not in told] == []
    assert (looped["folder"] / "chips" / "train.json").is_file()
