"""The pages of a survey."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyproj
import pytest
import rasterio
from support.commands import Run
from support.report_pages import data_of

from lcageo.scene.georef import Georeference


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


def test_scenes_at_and_beyond_a_pole_are_on_the_map() -> None:
    from lcageo.report.survey import _footprint, _on_map

    centred = rasterio.Affine(1, 0, -180.5, 0, -1, 90.5)
    info = Mock(width=360, height=181, georeference=Georeference(pyproj.CRS(4326), centred))
    world = _footprint(info)
    assert world is not None and world[:, 1].tolist() == [90, 90, -90, -90]
    info.georeference = Georeference(pyproj.CRS(4326), rasterio.Affine(1, 0, 50, 0, -1, 190))  # latitude first
    assert _footprint(info) is None
    town = np.array([[10.0, 50.1], [10.1, 50.1], [10.1, 50.0], [10.0, 50.0]])
    beyond = town + [0, 40.4]
    corners, size = _on_map([world, town, beyond])
    assert corners[2] is None and np.isfinite(size).all()
    assert all(np.isfinite(one).all() for one in corners[:2] if one is not None)
    assert _on_map([beyond]) == ([None], (1.0, 1.0))
