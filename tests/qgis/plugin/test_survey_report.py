from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import Run
from support.qgis_runs import Qgis
from support.scenes import noise, write_scene


@pytest.fixture
def survey(run: Run, untrained: Path, tmp_path: Path) -> Path:
    """The results of a survey of two scenes."""
    (tmp_path / "scenes").mkdir()
    for number in range(2):
        write_scene(tmp_path / "scenes" / f"{number}.tif", noise(200, 200, seed=number))
    ended = run("batch", tmp_path / "scenes", "--out", tmp_path / "results", "--model", untrained, "--score", "0.03")
    assert ended.code == 0, ended.err
    return tmp_path / "results"


def test_a_survey_becomes_an_index_and_a_page_for_each_scene(qgis: Qgis, survey: Path, tmp_path: Path) -> None:
    ended = qgis.run("surveyreport", INPUT=survey, OUTPUT=tmp_path / "pages")
    assert ended.code == 0, ended.text
    assert ended.results == {"OUTPUT": str(tmp_path / "pages"), "INDEX": str(tmp_path / "pages" / "index.html")}
    assert sorted(path.relative_to(tmp_path / "pages").as_posix() for path in (tmp_path / "pages").rglob("*.html")) == [
        "index.html",
        "scenes/0.html",
        "scenes/1.html",
    ]


def test_a_folder_of_something_else_is_refused(qgis: Qgis, tmp_path: Path) -> None:
    ended = qgis.run("surveyreport", INPUT=tmp_path, OUTPUT=tmp_path / "pages")
    assert ended.code != 0 and "choose the folder that Detect in a folder wrote" in ended.text
