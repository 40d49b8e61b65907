"""What a survey's folder remembers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.bright import Failing
from support.surveys import CONFIG, files, run

from lcageo.inference.runner import LocalRunner
from lcageo.survey.scenes import SurveyScene, find_scenes
from lcageo.survey.survey import SurveyConfig, open_survey


def test_a_second_process_is_refused(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_survey(SurveyConfig(out, ".csv"), CONFIG, LocalRunner(Failing())):
        code = f"from lcageo.survey.state import *; SurveyState(Path({str(out)!r}))"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode and "another process is writing the same result" in second.stderr


def test_a_damaged_state_is_created_again(flight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(flight, out)
    first = files(out)
    (out / ".lcageo-survey").write_bytes(b"nothing to be read" * 300)
    with open_survey(SurveyConfig(out, ".geojson"), CONFIG, LocalRunner(Failing())) as survey:
        jobs = survey.look(find_scenes([str(flight)], None, True, out), overwrite=True)
        list(survey.run(jobs, lambda line: None, lambda *_: None))
        survey.finish(lambda line: None)
    assert len(jobs) == 4 and files(out) == first


def test_names_never_collide_and_never_change(tmp_path: Path) -> None:
    from lcageo.survey.state import SurveyState

    def scene(path: str) -> SurveyScene:
        from pathlib import PurePosixPath

        return SurveyScene(path, PurePosixPath(Path(path).stem))

    first = [scene(path) for path in ("a/x.tif", "b/x.tif", "c/x.tif", "a/x.jp2", "a/X.tif")]
    state = SurveyState(tmp_path)
    named = state.places(first)
    state.keep_places(named)
    assert [str(place) for place in named.values()] == ["x", "x.tif", "x-2", "x.jp2", "X-3"]
    state.close()
    state = SurveyState(tmp_path)
    later = state.places([scene("0/x.tif"), *first[::-1]])
    assert {path: place for path, place in later.items() if path in named} == named
    assert str(later["0/x.tif"]) not in map(str, named.values())
    state.close()
