"""A folder of scenes from paths to files: what is missing or changed is run, then all is put together.

OUT/scenes/NAME.gpkg      a layer per scene
OUT/survey.gpkg           all objects of all scenes, each once
OUT/summary.csv, .json    how every scene ended
OUT/.lcageo-survey        what the next run needs to know
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from lcageo.config import DetectConfig
from lcageo.errors import OutputError, SceneError
from lcageo.inference.identity import absolute, file_identity, model_identity
from lcageo.inference.jobs import Job
from lcageo.inference.journal import Earlier
from lcageo.inference.record import SceneSummary, model_record
from lcageo.inference.run import JobOutcome, run_jobs
from lcageo.inference.runner import TileRunner, Warn
from lcageo.inference.scene import Progress, Run
from lcageo.survey.joint import joint_parts
from lcageo.survey.scene_layer import SceneLayer
from lcageo.survey.scenes import SurveyScene
from lcageo.survey.state import SceneRecord, State, SurveyState
from lcageo.survey.summary import SUMMARIES, SUMMARY, write_summary
from lcageo.vector.publish import Publication, make_folder
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

JOINT_STEM = "survey"


@dataclass(frozen=True, slots=True)
class SurveyConfig:
    """What a survey's folder holds."""

    out: Path
    suffix: str
    """Of the layers, as '.gpkg'; it stands for their format."""
    quicklooks: bool = False
    """A picture of every scene, in OUT/quicklooks."""
    holes: bool = False
    """A layer of what could not be read of every scene, in OUT/holes."""
    review: bool = False
    """A layer of what to label next of every scene, in OUT/review; the DetectConfig must say so, too."""

    @property
    def joint_layer(self) -> FileTarget:
        """All objects of all scenes."""
        return self.layer("", JOINT_STEM)

    def layer(self, folder: str, name: str) -> FileTarget:
        """A layer in one of the survey's folders."""
        return FileTarget.of_layer(self.out / folder / f"{name}{self.suffix}")


@dataclass(slots=True)
class Survey:
    """What is known of a survey's scenes, and how to bring its results up to date."""

    config: SurveyConfig
    detect: DetectConfig
    runner: TileRunner
    state: SurveyState
    records: dict[str, SceneRecord] = field(default_factory=dict)
    """By scene: those of the last `look`, as they stand."""
    _files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By scene: its file at the last `look`."""
    _area: dict[str, Any] = field(default_factory=dict)
    """The file of the area of interest at the last `look`."""

    def look(self, scenes: Sequence[SurveyScene], force: bool = False, overwrite: bool = False) -> list[Job]:
        """What is to be done: scenes whose results are missing, or made from something else.

        Args:
            scenes: all of the survey.
            force: all of them.
            overwrite: whether files that no run of this survey made may be replaced.

        Raises:
            OutputError: if such a file is in the way, or the state cannot be written.
        """
        known, places = self.state.records(scenes), self.state.places(scenes)
        jobs = {path: self._job(path, str(place)) for path, place in places.items()}
        self._claim(jobs.values(), overwrite)
        self.state.keep_places(places)
        self.records = {path: SceneRecord(path) for path in jobs}
        self._area = self._area_identity()
        self._files = {path: file_identity([path]) for path in jobs}
        for path, job in jobs.items():
            earlier, record = known.get(path, ("", self.records[path]))
            if force or earlier != self._identity(path, record.files):
                continue
            if record.state is State.FAILED or _all_there(job):
                self.records[path] = record
        return [job for path, job in jobs.items() if self.records[path].state in (State.WAITING, State.FAILED)]

    def _claim(self, jobs: Iterable[Job], overwrite: bool) -> None:
        """Refuses what others made, and takes all other places for this survey's own."""
        vectors = [self.config.joint_layer, *(target for job in jobs for target in job.vectors)]
        pictures = [job.quicklook for job in jobs if job.quicklook is not None]
        files = [file for target in vectors for file in target.files] + pictures
        files += [self.config.out / name for name in SUMMARIES]
        made = self.state.made()
        names = {file: file.relative_to(self.config.out).as_posix() for file in files}
        new = {file: name for file, name in names.items() if name not in made}
        for file in () if overwrite else new:
            if file.exists():
                raise OutputError(
                    f"'{file}' exists and was not made by this survey; give --overwrite to replace it, or another --out"
                )
        self.state.keep_made(new.values())

    def run(
        self, jobs: Sequence[Job], warn: Warn, on_progress: Callable[[str, Progress], None], force: bool = False
    ) -> Iterator[SceneRecord]:
        """Runs what `look` found to be done; errors as in `run_jobs`."""
        earlier = Earlier.NONE if force else Earlier.ANY
        for outcome in run_jobs(jobs, Run(self.runner, self.detect, warn, on_progress, earlier)):
            record = scene_record(outcome, self.config.out)
            # What has changed meanwhile is to be run again.
            same = file_identity([record.scene]) == self._files[record.scene] and self._area_identity() == self._area
            self.state.keep(self._identity(record.scene, record.files) if same else "", record)
            if isinstance(outcome.error, SceneError):  # of a full disk, say, the older result is still the best
                _remove(outcome.job)
            self.records[record.scene] = record
            yield record

    def finish(self, warn: Warn) -> None:
        """Writes the joint layer and the summary of all scenes as they stand, if that is news.

        Raises:
            OutputError: if that cannot be written.
        """
        records = list(self.records.values())
        made_of = hashlib.sha256(json.dumps([asdict(record) for record in records]).encode()).hexdigest()
        placed = [record for record in records if record.outputs and record.crs is not None]
        there = self.config.joint_layer.path.exists() or not placed
        if not records or (there and made_of == self.state.joined() and (self.config.out / SUMMARY).exists()):
            return
        self.summarize()  # first: it holds even where one layer cannot be joined
        for record in records:
            if record.outputs and record.crs is None:
                warn(f"scene '{record.scene}' has no place on the map and is not part of the joint layer")
        target = self.config.joint_layer
        if placed:
            layers = [self._scene_layer(record) for record in placed]
            with Publication() as publication:
                parts = joint_parts(layers, self.runner.card.classes, self.detect.agnostic)
                write_layer(parts, self._record(), publication.draft_of(target))
                publication.publish()
        else:
            target.remove()  # of scenes that are gone
        self.state.keep_joined(made_of)

    def summarize(self) -> None:
        """Writes the summary alone, as far as the scenes are."""
        records = list(self.records.values())
        with Publication() as publication:
            write_summary(records, self.runner.card.classes, self._record(), publication, self.config.out)
            publication.publish()

    def _scene_layer(self, record: SceneRecord) -> SceneLayer:
        return SceneLayer(
            name=Path(record.outputs[0]).relative_to("scenes").with_suffix("").as_posix(),
            path=self.config.out / record.outputs[0],
            crs=pyproj.CRS(record.crs),
            gsd_m=record.gsd_m or float("inf"),
            corners=tuple((x, y) for x, y in record.corners),
            size=(record.size[0], record.size[1]),
            objects=record.objects,
        )

    def _job(self, path: str, place: str) -> Job:
        return Job(
            scene=path,
            layers=(self.config.layer("scenes", place),),
            quicklook=self.config.out / "quicklooks" / f"{place}.png" if self.config.quicklooks else None,
            holes=self.config.layer("holes", place) if self.config.holes else None,
            review=self.config.layer("review", place) if self.config.review else None,
        )

    def _area_identity(self) -> dict[str, Any]:
        return {} if self.detect.aoi is None else file_identity([str(self.detect.aoi)])

    def _identity(self, path: str, belonging: Sequence[str]) -> str:
        """What a scene's result is made from. Version, device and batch are left out: no reason to run all again."""
        others = set(map(absolute, belonging)) - {absolute(path)}
        content = {
            "files": {**self._files[path], **file_identity(sorted(others))},
            "model": model_identity(self.runner.card),
            "parameters": self.detect.parameters(),
            "area": self._area,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _record(self) -> RunRecord:
        records = self.records.values()
        scenes = {state.value: sum(record.state is state for record in records) for state in State}
        return replace(model_record(self.runner.card), parameters=self.detect.parameters(), unknown={"scenes": scenes})


def scene_record(outcome: JobOutcome, out: Path) -> SceneRecord:
    """What a survey remembers of a job."""
    result = outcome.result
    if result is None:
        return SceneRecord(outcome.job.scene, State.FAILED, warnings=outcome.warnings, error=str(outcome.error))
    return SceneRecord(
        scene=outcome.job.scene,
        state=State.HOLES if result.holes else State.DONE,
        seconds=round(result.seconds, 3),
        tiles=result.tiles.as_json(),
        per_class=result.per_class(),
        outputs=[path.relative_to(out).as_posix() for path in outcome.job.outputs],
        warnings=outcome.warnings,
        error=result.hole_text() if result.holes else None,
        files=result.files,
        **_place(result),
    )


def _place(result: SceneSummary) -> dict[str, Any]:
    info = result.info
    if info.georeference.crs is None:
        return {}
    columns = np.array([0.0, info.width, info.width, 0.0])
    rows = np.array([0.0, 0.0, info.height, info.height])
    corners = np.stack(info.georeference.to_map(columns, rows), axis=-1)
    return {
        "crs": info.georeference.crs.to_wkt(),
        "gsd_m": info.gsd_m,
        "corners": corners.tolist(),
        "size": [info.width, info.height],
    }


def _all_there(job: Job) -> bool:
    return all(path.exists() for path in job.outputs)


def _remove(job: Job) -> None:
    """Takes away what an earlier run made of a scene that now fails."""
    for target in job.vectors:
        target.remove()
    if job.quicklook is not None:
        job.quicklook.unlink(missing_ok=True)


@contextmanager
def open_survey(config: SurveyConfig, detect: DetectConfig, runner: TileRunner) -> Generator[Survey, None, None]:
    """A survey, whose folder is made if it is missing. No other process can work with it while entered.

    Raises:
        UsageError: if another process works with it.
        OutputError: if it cannot be made or written to.
    """
    make_folder(config.out)
    state = SurveyState(config.out)
    try:
        yield Survey(config, detect, runner, state)
    finally:
        state.close()
