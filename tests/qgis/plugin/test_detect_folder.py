from __future__ import annotations

from pathlib import Path

from support.qgis_runs import Qgis
from support.readers import read_layer
from support.scenes import noise, write_scene


def test_a_folder_gives_a_joint_layer(qgis: Qgis, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "survey" / "later").mkdir(parents=True)
    for number, folder in enumerate(("survey", "survey/later")):
        write_scene(tmp_path / folder / f"{number}.tif", noise(200, 200, seed=number))
    ended = qgis.run(
        "detectfolder", INPUT=tmp_path / "survey", MODEL_FOLDER=untrained, SCORE=0.03, REVIEW="true",
        OUTPUT=tmp_path / "results",
    )  # fmt: skip
    assert ended.code == 0, ended.text
    joint = tmp_path / "results" / "survey.gpkg"
    assert ended.results == {"OUTPUT": str(tmp_path / "results"), "LAYER": str(joint)}
    assert {row["scene"] for row in read_layer(joint).rows} >= {"0"} and (tmp_path / "results" / "review").is_dir()
