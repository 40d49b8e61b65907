"""The notebook runs from top to bottom, and its counts are right."""

from __future__ import annotations

from pathlib import Path

import geopandas
import nbformat
import pytest
import shapely
from conftest import REPOSITORY
from nbclient import NotebookClient
from support.scenes import UTM, noise, write_scene

NOTEBOOK = REPOSITORY / "examples" / "detect.ipynb"


def test_it_is_stored_without_output() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.outputs or cell.execution_count for cell in cells if cell.cell_type == "code")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages that run notebooks
def test_it_runs_and_counts_each_object_once(tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scene(tmp_path / "scene.tif", noise(300, 300))
    halves = [shapely.box(UTM.c + x, UTM.f - 160, UTM.c + x + 75, UTM.f + 10) for x in (-1, 74)]
    districts = geopandas.GeoDataFrame({"name": ["west", "east"]}, geometry=halves, crs="EPSG:32633")
    districts.to_crs(4326).to_file(tmp_path / "districts.gpkg")
    monkeypatch.setenv("LCAGEO_SCENE", "scene.tif")
    monkeypatch.setenv("LCAGEO_DISTRICTS", "districts.gpkg")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:  # the default model finds nothing in noise
        call = "lcageo.detect(SCENE, keep=0.2)"
        again = f'lcageo.detect(SCENE, model="{untrained}", keep=0.02, score=0.03, backend="torch", device="cpu")'
        cell.source = cell.source.replace(call, again).replace('["score"] >= 0.5', '["score"] >= 0.03')
    last = nbformat.v4.new_code_cell(
        "print(len(objects), len(found), len(chosen), int(counts.to_numpy().sum()), len(counts))"
    )
    notebook.cells.append(last)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    objects, found, chosen, counted, districts_with_some = map(int, last.outputs[0].text.split())
    assert objects >= found >= chosen > 0 and counted == chosen and districts_with_some == 2
    (picture,) = [
        one for cell in notebook.cells for one in cell.get("outputs", ()) if "image/jpeg" in one.get("data", {})
    ]
    assert len(picture["data"]["image/jpeg"]) > 1000
    assert len(geopandas.read_file(tmp_path / "chosen.gpkg")) == chosen
