"""The pages of a survey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.commands import Run
from support.report_pages import data_of


def test_footprints_lie_as_on_the_ground(survey: Path, run: Run, tmp_path: Path) -> None:
    run("report", survey, "-o", "pages")
    scenes = {scene["name"]: scene for scene in data_of(tmp_path / "pages" / "index.html")["scenes"]}
    west, east = (np.array(scenes[name]["corners"]) for name in ("a #1", "later/b"))
    # 300 x 200 pixels of 0.5 m, the other 200 m to the east; a metre of UTM 33 at 15 E is 0.9996 of one on the ground.
    assert np.hypot(*(west[1] - west[0])) == pytest.approx(150 / 0.9996, rel=1e-5)
    assert np.hypot(*(west[3] - west[0])) == pytest.approx(100 / 0.9996, rel=1e-5)
    assert east - west == pytest.approx(np.tile([200 / 0.9996, 0], (4, 1)), abs=0.05)
    assert west[0][1] < west[3][1], "north is up"


def test_a_scene_that_is_gone_costs_its_own_page(survey: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "flight" / "a #1.tif").unlink()
    outcome = run("report", survey, "-o", "pages")
    assert outcome.code == 3 and "some scenes have no page" in outcome.err
    assert "a #1.tif' does not exist; check the path (the path is relative to the folder where" in outcome.err
    scenes = {scene["name"]: scene for scene in data_of(tmp_path / "pages" / "index.html")["scenes"]}
    assert scenes["a #1"]["href"] is None and scenes["later/b"]["href"] is not None


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        ("{", "is not a survey's summary"),
        ('{"per_scene": 3}', "per_scene is not a list"),
        ('{"per_scene": [{"scene": "a.tif"}]}', "is not a survey's summary"),
        (
            '{"per_scene": [{"scene": "a.tif", "state": "done", "per_class": {}, "error": null, "warnings": [], '
            '"outputs": ["scenes/../../a.gpkg"]}]}',
            "results are outside the folder",
        ),
    ],
)
def test_a_summary_that_is_none_is_refused(summary: str, message: str, tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text(summary)
    outcome = run("report", "out", "-o", "pages")
    assert outcome.code == 1 and message in outcome.err and not (tmp_path / "pages").exists()


def test_a_survey_across_the_antimeridian_stays_together() -> None:
    from lcageo.report.survey import _on_map

    west = np.array([[179.9, 10.1], [180.0, 10.1], [180.0, 10.0], [179.9, 10.0]])
    corners, (width, height) = _on_map([west, None, west - [359.9, 0]])
    assert corners[1] is None and width == pytest.approx(0.2 * 111_320 * np.cos(np.radians(10.05)) * 1.08, rel=0.01)
    assert height < width
    assert _on_map([None]) == ([None], (1.0, 1.0))
