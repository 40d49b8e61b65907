"""Watching for new scenes: only complete ones are yielded, once; failures are tried again when they change."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from lcageo.errors import UsageError
from lcageo.inference.jobs import Job
from lcageo.stop import StopRequest
from lcageo.survey import watch as watching
from lcageo.survey.scenes import SurveyScene
from lcageo.survey.watch import Attempts, Watch


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    monkeypatch.setattr(watching, "SETTLED_S", 0.5)


def scenes_of(folder: Path) -> list[SurveyScene]:
    return [SurveyScene(str(path), PurePosixPath(path.stem)) for path in sorted(folder.glob("*.tif"))]


def old_file(path: Path) -> Path:
    """A file that was complete long ago."""
    path.write_bytes(b"raster")
    os.utime(path, (0, 0))
    return path


def names(scenes: Sequence[SurveyScene] | None) -> list[str]:
    return [scene.place.name for scene in scenes or ()]


def test_old_files_come_at_once_and_new_ones_when_they_no_longer_change(tmp_path: Path) -> None:
    old_file(tmp_path / "a.tif")
    changes = Watch(lambda: scenes_of(tmp_path), StopRequest(), print).changes()
    assert names(next(changes)) == ["a"] and next(changes) is None
    growing = tmp_path / "b.tif"
    for part in range(3):
        growing.write_bytes(bytes(part + 1))
        assert next(changes) is None
    last_write = time.monotonic()
    found = next(filter(None, changes))
    assert names(found) == ["a", "b"] and time.monotonic() - last_write > 0.3
    growing.unlink()
    assert names(next(filter(None, changes))) == ["a"]


def test_it_ends_when_asked_to_stop(tmp_path: Path) -> None:
    stop = StopRequest()
    changes = Watch(lambda: scenes_of(tmp_path), stop, print).changes()
    assert next(changes) is None
    stop.asked = True
    assert list(changes) == []


def test_a_folder_may_vanish_for_a_while_but_must_exist_at_the_start(tmp_path: Path) -> None:
    tries = iter([True, False, False, True])

    def find() -> list[SurveyScene]:
        if not next(tries, True):
            raise UsageError("the share is gone")
        return scenes_of(tmp_path)

    old_file(tmp_path / "a.tif")
    said: list[str] = []
    changes = Watch(find, StopRequest(), said.append).changes()
    assert names(next(changes)) == ["a"] and next(changes) is None
    assert said == ["waiting, since the scenes cannot be listed: the share is gone"]
    tries = iter([False])
    with pytest.raises(UsageError, match="gone"):
        next(Watch(find, StopRequest(), print).changes())


def test_a_failed_scene_is_tried_again_only_when_its_file_changes(tmp_path: Path) -> None:
    jobs = [Job(str(old_file(tmp_path / name)), (), None) for name in ("a.tif", "b.tif")]
    attempts = Attempts()
    assert attempts.worth_trying(jobs) == jobs
    attempts.failed(jobs[0].scene)
    assert attempts.worth_trying(jobs) == jobs[1:]
    (tmp_path / "a.tif").write_bytes(b"another raster")
    assert attempts.worth_trying(jobs) == jobs


def test_a_scene_whose_file_was_gone_meanwhile_is_tried_again(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.tif")
    jobs, attempts = [Job(str(path), (), None)], Attempts()
    assert attempts.worth_trying(jobs) == jobs
    path.rename(tmp_path / "away")
    attempts.failed(jobs[0].scene)
    (tmp_path / "away").rename(path)
    assert attempts.worth_trying(jobs) == jobs
