"""What decides a run's result changes its identity, and nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.bright import BrightSquares, bright_card
from support.scenes import noise, write_scene

from lcageo.config import DetectConfig
from lcageo.inference.identity import absolute, file_identity, model_identity, run_identity, run_name
from lcageo.inference.plan import plan_scene
from lcageo.inference.runner import LocalRunner
from lcageo.scene.raster import open_scene


def identity(path: Path, batch: int = 2, **config: Any) -> dict[str, Any]:
    predictor, settings = BrightSquares(bright_card(64)), DetectConfig(**config)
    with open_scene(path) as scene:
        return run_identity(plan_scene(scene, predictor.card, settings), LocalRunner(predictor, batch), settings)


def test_the_same_run_has_the_same_name_and_another_setting_another_one(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(100, 100))
    first = identity(path)
    assert identity(path) == first and run_name(identity(path)) == run_name(first)
    for changed, names in ((identity(path, 3), {"--batch"}), (identity(path, iou=0.5), {"--iou"})):
        assert {name for name in first if first[name] != changed[name]} == names
        assert run_name(changed) != run_name(first)


def test_an_area_of_the_same_tiles_is_another_run(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", noise(100, 100))
    left, top = 500_000.0, 5_000_000.0
    first, second = (identity(path, bbox=(left, top - side, left + side, top)) for side in (30.0, 31.0))
    assert first["area"] != second["area"] and run_name(first) != run_name(second)


@pytest.mark.parametrize("change", ["content", "size", "time"])
def test_a_file_that_changes_has_another_identity(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"first")
    os.utime(path, (1000, 1000))
    before = file_identity([str(path)])
    path.write_bytes({"content": b"other", "size": b"first and more", "time": b"first"}[change])
    os.utime(path, (1000, 2000 if change == "time" else 1000))
    assert file_identity([str(path)]) != before and list(before) == [str(path)]


def test_statistics_of_other_programs_are_no_change_but_what_else_they_add_is(tmp_path: Path) -> None:
    """QGIS and GDAL keep statistics beside a raster that they open; the run that was stopped must go on."""
    if shutil.which("gdalinfo") is None:
        pytest.skip("SKIPPED FOR LACK OF A TOOL: gdalinfo is not installed (Debian package gdal-bin)")
    scene = write_scene(tmp_path / "scene.tif", noise(64, 64))
    auxiliary = tmp_path / "scene.tif.aux.xml"
    names = [str(scene), str(auxiliary)]
    subprocess.run(["gdalinfo", "-stats", "-hist", scene], check=True, capture_output=True)
    assert "STATISTICS_MEAN" in auxiliary.read_text() and "<Histograms>" in auxiliary.read_text()
    assert file_identity(names).keys() == {str(scene)}
    band = '<PAMRasterBand band="1">'
    auxiliary.write_text(auxiliary.read_text().replace(band, f"{band}<NoDataValue>0</NoDataValue>"))
    before = file_identity(names)
    assert before[str(auxiliary)] is not None
    auxiliary.write_text(auxiliary.read_text().replace("<NoDataValue>0", "<NoDataValue>1"))
    assert file_identity(names) != before


def test_what_is_not_on_a_disk_has_only_a_name() -> None:
    assert file_identity(["/vsicurl/http://host/a.tif"]) == {"/vsicurl/http://host/a.tif": None}


def test_paths_become_absolute_but_for_those_of_gdal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("a.tif") == str(tmp_path / "a.tif")
    for path in ("/vsis3/bucket/a.tif", "https://host/a.tif"):
        assert absolute(path) == path


def test_only_what_changes_the_result_identifies_a_model() -> None:
    card = bright_card(64)
    renamed = replace(card, name="other", licence="free", trained_on="DIOR", weights=Path("elsewhere.safetensors"))
    assert model_identity(renamed) == model_identity(card)
    assert model_identity(replace(card, mean=(1.0, 2.0, 3.0))) != model_identity(card)
