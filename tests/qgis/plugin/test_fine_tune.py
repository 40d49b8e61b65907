from __future__ import annotations

from pathlib import Path

import pytest
from support.qgis_runs import Qgis


def test_a_folder_without_chips_is_refused(qgis: Qgis, untrained: Path, tmp_path: Path) -> None:
    ended = qgis.run("finetune", INPUT=tmp_path, MODEL_FOLDER=untrained, OUTPUT=tmp_path / "run")
    assert ended.code != 0 and "choose the folder that Cut chips wrote" in ended.text


@pytest.mark.slow
def test_chips_give_a_model_that_detects(qgis: Qgis, searched: Path, untrained: Path, tmp_path: Path) -> None:
    ended = qgis.run(
        "chips",
        INPUT=searched / "scene.tif",
        LABELS=searched / "found.gpkg",
        SIZE=128,
        VAL=0,
        OUTPUT=tmp_path / "chips",
    )
    assert ended.code == 0, ended.text
    ended = qgis.run(
        "finetune", INPUT=tmp_path / "chips", MODEL_FOLDER=untrained, MINUTES=0.05, SIZE=128, OUTPUT=tmp_path / "run",
        EXTRA="--batch 2 --workers 0",
    )  # fmt: skip
    assert ended.code == 0 and ended.results == {"OUTPUT": str(tmp_path / "run")}, ended.text
    ended = qgis.run(
        "detect", INPUT=searched / "scene.tif", MODEL_FOLDER=tmp_path / "run", OUTPUT=tmp_path / "found.gpkg"
    )
    assert ended.code == 0 and (tmp_path / "found.gpkg").exists(), ended.text
