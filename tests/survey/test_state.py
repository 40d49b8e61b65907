"""What a survey's state file stores, and that it survives closing, damage and odd names."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path, PurePosixPath

from lcageo.calibration import Expected
from lcageo.survey.scenes import SurveyScene
from lcageo.survey.state import STATE_FILE, Joined, SceneRecord, State, SurveyState


def scene(path: str) -> SurveyScene:
    return SurveyScene(path, PurePosixPath(Path(path).stem))


def test_names_never_collide_and_never_change(tmp_path: Path) -> None:
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


def test_records_are_read_back_as_they_were_stored(tmp_path: Path) -> None:
    odd = os.fsdecode(b"/flight/odd \xff.tif")
    record = SceneRecord(
        odd, State.HOLES, 1.5, {"run": 4}, {"ship": 2, "car": 3}, ["scenes/odd.gpkg"], ["slow"], "gone", ["odd.tif"],
        corners=[[0, 0]], size=[10, 20], hints=["coarse"], distance_from_training=1.5,
    )  # fmt: skip
    with closing(SurveyState(tmp_path)) as state:
        state.keep_places(state.places([scene(odd)]))
        assert state.records([scene(odd)]) == {}  # has not been run
        state.keep(odd, "made from", record)
    with closing(SurveyState(tmp_path)) as state:
        assert state.records([scene(odd), scene("/flight/other.tif")]) == {odd: ("made from", record)}
    assert record.objects == 5 and record.is_unfamiliar


def test_files_and_the_joint_layer_are_stored(tmp_path: Path) -> None:
    second = Joined("second", {"ship": 3}, {"ship": Expected(3, 2.5, 1.0, 3.0)})
    with closing(SurveyState(tmp_path)) as state:
        assert state.joined() == Joined() and state.made() == set()
        state.keep_made(["a.gpkg", "b.gpkg"])
        state.keep_made(["a.gpkg"])
        state.keep_joined(Joined("first"))
        state.keep_joined(second)
    with closing(SurveyState(tmp_path)) as state:
        assert state.joined() == second and state.made() == {"a.gpkg", "b.gpkg"}


def test_a_damaged_state_file_is_replaced_by_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_bytes(b"nothing to be read" * 300)
    with closing(SurveyState(tmp_path)) as state:
        assert state.made() == set() and state.records([scene("a.tif")]) == {}
