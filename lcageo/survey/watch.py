"""Watching a survey that grows: new scenes are run as they appear, once they are complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lcageo.errors import UsageError
from lcageo.inference.jobs import Job
from lcageo.stop import StopRequest
from lcageo.survey.scenes import SurveyScene

POLL_S = 1.0
SETTLED_S = 5.0
"""A file whose size and time have not changed for this long is complete: nobody writes to it any more."""
Stamp = tuple[int, int]


class Watch:
    """Reports which scenes exist and are complete, whenever that changes, until `stop` is asked."""

    def __init__(
        self, find: Callable[[], Sequence[SurveyScene]], stop: StopRequest, warn: Callable[[str], object]
    ) -> None:
        self._find = find
        self._stop = stop
        self._warn = warn
        self._seen: dict[str, tuple[Stamp | None, float]] = {}
        """Size and time of each file, and the time (monotonic) since when they have not changed."""
        self._first = True

    def changes(self) -> Iterator[tuple[SurveyScene, ...] | None]:
        """All complete scenes, when they differ from those yielded last; None when nothing has changed."""
        yielded: dict[str, Stamp | None] = {}
        told = ""
        while not self._stop.asked:
            try:
                found, told = self._find(), ""
            except (UsageError, OSError) as error:
                if self._first:
                    raise
                if str(error) != told:
                    told = str(error)
                    self._warn(f"waiting, since the scenes cannot be listed: {told}")
                self._rest()  # a network share that is gone for a while
                continue
            scenes = self._settled(found)
            now = {scene.path: self._seen[scene.path][0] for scene in scenes}
            if now != yielded:
                yielded = now
                yield scenes
            else:
                yield None
                self._rest()

    def _settled(self, scenes: Iterable[SurveyScene]) -> tuple[SurveyScene, ...]:
        now, wall = time.monotonic(), time.time()
        settled = []
        for scene in scenes:
            stamp = _stamp(scene.path)
            known, since = self._seen.get(scene.path, (None, now))
            if scene.path not in self._seen or stamp != known:
                old = stamp is None or (self._first and wall - stamp[1] / 1e9 > SETTLED_S)  # older than the watch
                since = now - SETTLED_S if old and scene.path not in self._seen else now
                self._seen[scene.path] = stamp, since
            if now - since >= SETTLED_S:
                settled.append(scene)
        self._first = False
        return tuple(settled)

    def _rest(self) -> None:
        until = time.monotonic() + POLL_S
        while not self._stop.asked and time.monotonic() < until:
            time.sleep(0.1)


class Attempts:
    """Remembers the scenes that failed: each is tried again only when its file has changed, or was gone meanwhile."""

    def __init__(self) -> None:
        self._tried: dict[str, Stamp | None] = {}
        self._failed: dict[str, Stamp | None] = {}

    def worth_trying(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs whose scenes have not failed, or have changed since."""
        self._tried = {job.name: _stamp(job.scene) for job in jobs}
        return [job for job in jobs if job.name not in self._failed or self._failed[job.name] != self._tried[job.name]]

    def failed(self, scene: str) -> None:
        """Records a failure of the file as it was when it was tried, and still is."""
        if _stamp(scene) == self._tried[scene]:
            self._failed[scene] = self._tried[scene]


def _stamp(path: str) -> Stamp | None:
    """Size and time (ns) of a file; None if it is not on a disk."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
