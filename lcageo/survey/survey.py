"""A folder of scenes from paths to files: missing or changed scenes are run, then all results are joined.

OUT/scenes/NAME.gpkg      a layer per scene
OUT/survey.gpkg           all objects of all scenes, each once
OUT/summary.csv, .json    the result of every scene
OUT/.lcageo-survey        the state that the next run requires
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from lcageo.config import DetectConfig
from lcageo.errors import OutputError, SceneError
from lcageo.geodesy import WGS84
from lcageo.inference.identity import absolute, file_identity, model_identity
from lcageo.inference.jobs import Job, inputs_of
from lcageo.inference.record import SceneSummary, model_record
from lcageo.inference.run import JobOutcome, run_jobs
from lcageo.inference.runner import TileRunner, Warn
from lcageo.inference.scene import Progress, Run
from lcageo.journal.journal import Earlier
from lcageo.plural import plural
from lcageo.remote import public
from lcageo.scene.servers.faults import is_outage
from lcageo.survey.joint import CountedObjects, joint_parts
from lcageo.survey.scene_layer import SceneLayer, common_crs
from lcageo.survey.scenes import SurveyScene, files_beside, is_away
from lcageo.survey.state import Joined, SceneRecord, State, SurveyState
from lcageo.survey.summary import SUMMARIES, SUMMARY, write_summary
from lcageo.transform import accuracy_warnings
from lcageo.vector.publish import Publication, make_folder, refuse_inputs, refuse_open, remove_abandoned
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer

JOINT_STEM = "survey"


@dataclass(frozen=True, slots=True)
class SurveyConfig:
    """The content of a survey's folder."""

    out: Path
    suffix: str
    """Suffix of the layers, as '.gpkg', which selects their format."""
    quicklooks: bool = False
    """Whether to write a picture of every scene to OUT/quicklooks."""
    holes: bool = False
    """Whether to write a layer of what could not be read of every scene to OUT/holes."""
    review: bool = False
    """Whether to write a layer of what to label next of every scene to OUT/review; DetectConfig must ask for it, too.
    """

    @property
    def joint_layer(self) -> FileTarget:
        """The layer of all objects of all scenes."""
        return self.layer("", JOINT_STEM)

    def layer(self, folder: str, name: str) -> FileTarget:
        """A layer in one of the survey's folders."""
        return FileTarget.of_layer(self.out / folder / f"{name}{self.suffix}")


@dataclass(slots=True)
class Survey:
    """The scenes of a survey, and how to bring its results up to date."""

    config: SurveyConfig
    detect: DetectConfig
    runner: TileRunner
    state: SurveyState
    records: dict[str, SceneRecord] = field(default_factory=dict)
    """Current records of the scenes of the last `look`, by path."""
    joined: Joined = field(default_factory=Joined)
    """What the joint layer holds, once `finish` has made it."""
    _files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Identity of each scene's file at the last `look`, by path."""
    _earlier: dict[str, SceneRecord] = field(default_factory=dict)
    """What is recorded of earlier runs of the scenes, by path."""
    _area: dict[str, Any] = field(default_factory=dict)
    """Identity of the file of the area of interest at the last `look`."""

    def look(
        self, scenes: Sequence[SurveyScene], force: bool = False, overwrite: bool = False, grows: bool = False
    ) -> list[Job]:
        """Jobs for the scenes whose results are missing or out of date.

        Args:
            scenes: all scenes of the survey.
            force: whether to run all of them.
            overwrite: whether files that no run of this survey made may be replaced.
            grows: whether it is watched, so that another program may have the joint layer open for a while.

        Raises:
            OutputError: if such a file is in the way, or the state cannot be written.
            UsageError: if another program has the joint layer open, and the survey does not grow.
        """
        if not grows:
            refuse_open(self.config.joint_layer.path)
        known, places = self.state.records(scenes), self.state.places(scenes)
        jobs = {path: self._job(path, str(place)) for path, place in places.items()}
        self._claim(jobs.values(), overwrite)
        self.state.keep_places(places)
        self.records = {path: SceneRecord(public(path)) for path in jobs}
        self._area = self._area_identity()
        self._files = {path: file_identity([path]) for path in jobs}
        self._earlier = {path: record for path, (_, record) in known.items()}
        for path, job in jobs.items():
            earlier, record = known.get(path, ("", self.records[path]))
            if force or earlier != self._identity(path, record.files):
                continue
            if record.state is State.FAILED or _is_complete(job, record, self.config.out):
                self.records[path] = record
        return [job for path, job in jobs.items() if self.records[path].state in (State.WAITING, State.FAILED)]

    def _claim(self, jobs: Collection[Job], overwrite: bool) -> None:
        """Refuses to replace files that this survey did not make, or that it reads; records the others as made."""
        vectors = [self.config.joint_layer, *(target for job in jobs for target in job.vectors)]
        pictures = [job.quicklook for job in jobs if job.quicklook is not None]
        files = [file for target in vectors for file in target.files] + pictures
        files += [self.config.out / name for name in SUMMARIES]
        refuse_inputs(files, inputs_of((job.scene for job in jobs), self.detect.aoi))
        made = self.state.made()
        names = {file: file.relative_to(self.config.out).as_posix() for file in files}
        new = {file: name for file, name in names.items() if name not in made}
        for file in () if overwrite else new:
            if file.exists():
                raise OutputError(
                    f"'{file}' exists and was not made by this survey; use --overwrite to replace it, or another --out"
                )
        self.state.keep_made(new.values())

    def run(
        self, jobs: Sequence[Job], warn: Warn, on_progress: Callable[[str, Progress], None], force: bool = False
    ) -> Iterator[SceneRecord]:
        """Runs the jobs that `look` returned; errors as in `run_jobs`."""
        earlier = Earlier.NONE if force else Earlier.ANY
        for outcome in run_jobs(jobs, Run(self.runner, self.detect, warn, on_progress, earlier)):
            record, path = scene_record(outcome, self.config.out), outcome.job.scene
            older = self._earlier.get(path)
            if older is not None and record.state is State.FAILED and is_away(path, older.files):
                # A network share may be back for the next run.
                record = replace(record, outputs=older.outputs, files=older.files)
            # A scene that has changed meanwhile must be run again.
            same = file_identity([path]) == self._files[path] and self._area_identity() == self._area
            self.state.keep(path, self._identity(path, record.files) if same else "", record)
            if isinstance(outcome.error, SceneError) and not is_outage(outcome.error) and not record.outputs:
                # If the server, the disk or the share fails, the older result is still good.
                try:
                    _remove(outcome.job)
                except OSError as error:
                    warn(f"the older result of '{outcome.job.name}' cannot be removed: {error}; is it open elsewhere?")
            self.records[path] = record
            yield record

    def finish(self, warn: Warn) -> None:
        """Writes the joint layer and the summary of all scenes, unless they are up to date.

        Raises:
            OutputError: if they cannot be written.
            UsageError: if another program has the joint layer open.
        """
        records = list(self.records.values())
        made_of = hashlib.sha256(json.dumps([asdict(record) for record in records]).encode()).hexdigest()
        placed = [record for record in records if record.outputs and record.crs is not None]
        complete = self.config.joint_layer.path.exists() or not placed
        earlier, self.joined = self.state.joined(), Joined()
        if not records or (complete and made_of == earlier.scenes and (self.config.out / SUMMARY).exists()):
            self.joined = earlier
            return
        self.summarize()  # first: it is valid even if a layer cannot be joined
        gone = [record.scene for record in records if record.is_gone]
        if gone and self.config.joint_layer.path.exists():
            warn(
                f"'{self.config.joint_layer}' stays as it was: files of {plural(len(gone), 'scene')} in it do not "
                f"exist, such as '{gone[0]}'; restore them, or leave these scenes out"
            )
            self.joined = replace(earlier, scenes=made_of)
            self.summarize()
            self.state.keep_joined(self.joined)
            return
        refuse_open(self.config.joint_layer.path)  # before all the work, since a watched survey tries it again
        for record in records:
            if record.outputs and record.crs is None and not record.is_gone:
                warn(f"scene '{record.scene}' has no CRS and is not part of the joint layer")
        target = self.config.joint_layer
        if placed:
            layers = [self._scene_layer(record) for record in placed]
            for line in _accuracy(layers, target):
                warn(line)
            least = self._record().least_scores()
            with Publication() as publication:
                parts = joint_parts(layers, self.runner.card.classes, self.detect.agnostic, least)
                unlike = {layer.name for layer, one in zip(layers, placed, strict=True) if one.is_unfamiliar}
                counted = CountedObjects(parts, least, unlike)
                write_layer(counted, self._record(), publication.draft_of(target))
                publication.publish()
            right = counted.probably_right(self.runner.card.calibration)
            self.joined = Joined(made_of, counted.per_class, right)
            self.summarize()
        else:
            try:
                target.remove()  # its scenes are gone
            except OSError as error:
                raise OutputError(f"'{target}' cannot be removed: {error}; is it open elsewhere?") from error
            self.joined = Joined(made_of)
        self.state.keep_joined(self.joined)

    def summarize(self) -> None:
        """Writes only the summary, with the current state of the scenes."""
        records = list(self.records.values())
        with Publication() as publication:
            classes = self.runner.card.classes
            write_summary(records, classes, self.joined, self._record(), publication, self.config.out)
            publication.publish()

    def _scene_layer(self, record: SceneRecord) -> SceneLayer:
        return SceneLayer(
            name=Path(record.outputs[0]).relative_to("scenes").with_suffix("").as_posix(),
            path=self.config.out / record.outputs[0],
            crs=pyproj.CRS(record.crs),
            gsd_m=record.gsd_m or float("inf"),
            corners=tuple((x, y) for x, y in record.corners),
            size=(record.size[0], record.size[1]),
            objects=record.objects + record.candidates,
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
        """Hash of everything that a scene's result is made from, except version, device and batch.

        A change of those is no reason to run a whole survey again.
        """
        others = {*belonging, *files_beside(absolute(path))} - {public(absolute(path)), public(path)}
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
        return replace(
            model_record(self.runner.card),
            parameters=self.detect.for_model(self.runner.card.iou).parameters(),
            thresholds=self.runner.card.least_scores(self.detect.score),
            calibration=self.runner.card.calibration or None,
            unknown={"scenes": scenes},
        )


def scene_record(outcome: JobOutcome, out: Path) -> SceneRecord:
    """The record that a survey stores of a job."""
    summary = outcome.result
    if summary is None:
        return SceneRecord(outcome.job.name, State.FAILED, warnings=outcome.warnings, error=str(outcome.error))
    return SceneRecord(
        scene=outcome.job.name,
        state=State.HOLES if summary.holes else State.DONE,
        seconds=round(summary.seconds, 3),
        tiles=summary.tiles.as_json(),
        per_class=summary.per_class(),
        candidates=summary.candidates,
        outputs=[path.relative_to(out).as_posix() for path in outcome.job.outputs],
        warnings=outcome.warnings,
        error=summary.hole_text() if summary.holes else None,
        files=summary.files,
        hints=summary.hints,
        distance_from_training=summary.record.distance_from_training,
        **_location(summary),
    )


def _location(summary: SceneSummary) -> dict[str, Any]:
    info = summary.info
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


def _accuracy(layers: Sequence[SceneLayer], target: FileTarget) -> tuple[str, ...]:
    """Warnings if scenes come to the joint layer less accurately than their pixels."""
    to = pyproj.CRS(WGS84) if target.vector_format.longitude_latitude else common_crs(layers)
    lines: list[str] = []
    for layer in layers:
        lines += accuracy_warnings(f"positions in '{target}'", [(layer.crs, to, *layer.corners[0])], layer.gsd_m)
    return tuple(dict.fromkeys(lines))


def _is_complete(job: Job, record: SceneRecord, out: Path) -> bool:
    """Whether the recorded run made all that is asked for, not an earlier one with another format, and it is there."""
    asked = {path.relative_to(out).as_posix() for path in job.outputs}
    return asked <= set(record.outputs) and all(path.exists() for path in job.outputs)


def _remove(job: Job) -> None:
    """Deletes the results that an earlier run made of a scene that now fails."""
    for target in job.vectors:
        target.remove()
    if job.quicklook is not None:
        job.quicklook.unlink(missing_ok=True)


@contextmanager
def open_survey(config: SurveyConfig, detect: DetectConfig, runner: TileRunner) -> Generator[Survey, None, None]:
    """Opens a survey, and creates its folder if it is missing. It is locked against other processes while open.

    Raises:
        UsageError: if another process works with it.
        OutputError: if the folder cannot be created or written to.
    """
    make_folder(config.out)
    state = SurveyState(config.out)
    remove_abandoned(config.out)
    try:
        yield Survey(config, detect, runner, state)
    finally:
        state.close()
