"""Which files and tables to write for which scenes: decided and checked before any work is done."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from lcageo.errors import UsageError
from lcageo.journal.journal import broke_off_publishing, journal_path
from lcageo.remote import is_remote, key, public, scene_name
from lcageo.runtime.onnx_graph import cache_folder
from lcageo.vector.database_table import DatabaseTable, is_database
from lcageo.vector.formats import DEFAULT_SUFFIX
from lcageo.vector.publish import check_output, refuse_inputs
from lcageo.vector.target import FileTarget, Target, check_target, layer_files


@dataclass(frozen=True, slots=True)
class Job:
    """One scene and the files and tables to write for it."""

    scene: str
    """What opens it; see `name`."""
    layers: tuple[FileTarget, ...]
    """Map layers, and boxes in pixels."""
    quicklook: Path | None
    holes: FileTarget | None = None
    """Layer of the parts that could not be read."""
    review: FileTarget | None = None
    """Layer of what to label next."""
    tables: tuple[DatabaseTable, ...] = ()
    append: bool = False
    """Whether objects are added to existing layers and tables."""

    @property
    def name(self) -> str:
        """The scene as it may be told and written: a URL without its secrets."""
        return public(self.scene)

    @property
    def targets(self) -> tuple[Target, ...]:
        """All files and tables of objects."""
        return (*self.layers, *self.tables)

    @property
    def vectors(self) -> tuple[FileTarget, ...]:
        """All vector files: layers of objects, holes and review."""
        return (*self.layers, *(target for target in (self.holes, self.review) if target is not None))

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files to write."""
        return (*(target.path for target in self.vectors), *([self.quicklook] if self.quicklook else []))

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that may be written or replaced, with those that belong to them."""
        vectors = (file for target in self.vectors for file in (*target.files, *target.belonging))
        return (*vectors, *([self.quicklook] if self.quicklook else []), self.journal)

    @property
    def journal(self) -> Path:
        """Path of the run's journal, which is kept until the result is in place: beside the first layer.

        Of a layer that several scenes are appended to, each has its own. Where all objects go into a database, it is in
        the user's cache, so that the run is found again from any folder.
        """
        if self.layers and not self.append:
            return journal_path(self.layers[0].path)
        if self.layers:
            path = self.layers[0].path
            of_scene = hashlib.sha256(key(self.scene).encode()).hexdigest()[:8]
            return journal_path(path.with_name(f"{path.stem}-{of_scene}{path.suffix}"))
        digest = hashlib.sha256("\n".join([key(self.scene), *map(str, self.tables)]).encode()).hexdigest()
        return journal_path(cache_folder() / "journals" / f"{_stem(self.scene)}-{digest[:16]}")


def plan_jobs(
    scenes: Sequence[str],
    outputs: Sequence[Path | DatabaseTable],
    quicklook: Path | None,
    overwrite: bool,
    dry_run: bool = False,
    holes: Path | None = None,
    review: Path | None = None,
    append: bool = False,
    aoi: Path | None = None,
) -> tuple[Job, ...]:
    """Decides every output's path, and refuses those that could not be written, before any work is done.

    Args:
        scenes: paths of rasters.
        outputs: tables, and files, whose suffixes select the format, or a folder (created if missing) for
            NAME.geojson; empty: the current folder.
        quicklook: a PNG, or a folder (created if missing) for NAME.png.
        overwrite: whether existing files and tables may be replaced.
        dry_run: nothing will be written, so nothing is created or refused.
        holes: a vector file, or a folder (created if missing) for NAME-holes.geojson.
        review: likewise, for NAME-review.geojson.
        append: whether objects are added to existing GeoPackages and tables, which several scenes may then share.
        aoi: the file of the area of interest, which is read.

    Raises:
        UsageError: if several scenes would write the same file, an output is an input, or a file or table exists and
            may not be replaced.
        OutputError: if a folder is missing or read-only, or a database cannot be reached.
    """
    if append and overwrite:
        raise UsageError("--append and --overwrite cannot be combined")
    for option, path in (("--quicklook", quicklook), ("--holes", holes), ("--review", review)):
        if is_database(str(path)):
            raise UsageError(f"{option} takes a file or folder; only objects go into a table, with -o")
    if folders := [scene for scene in scenes if scene and not is_remote(scene) and _is_folder_of_scenes(Path(scene))]:
        raise UsageError(
            f"'{folders[0]}' is a folder; for all its scenes, use 'lcageo batch {folders[0]} --out RESULTS'"
        )
    if dry_run:
        return tuple(Job(scene, (), None) for scene in scenes)
    paths = [path for path in outputs if isinstance(path, Path)]
    tables = tuple(dict.fromkeys(table for table in outputs if isinstance(table, DatabaseTable)))
    jobs = tuple(
        Job(
            scene,
            () if tables and not paths else tuple(dict.fromkeys(_layers(scene, paths))),
            _picture(scene, quicklook),
            _further_layer(scene, holes, "holes"),
            _further_layer(scene, review, "review"),
            tables,
            append,
        )
        for scene in scenes
    )
    made = {folder for folder in (*paths, quicklook, holes, review) if folder is not None and not folder.suffix}
    twice = [scene for index, scene in enumerate(scenes) if scene in scenes[:index]]
    if twice:
        raise UsageError(f"scene '{public(twice[0])}' is given twice; give each scene once")
    refuse_inputs([file for job in jobs for file in job.files], inputs_of(scenes, aoi))
    for job in jobs:
        _check(job, overwrite or broke_off_publishing(job.journal), made)
    _check_claims(jobs)
    return jobs


def inputs_of(scenes: Iterable[str], aoi: Path | None) -> list[tuple[str | Path, str]]:
    """What a run reads, for `refuse_inputs`."""
    areas = [] if aoi is None else layer_files(aoi)
    return [*((scene, "one of the scenes") for scene in scenes), *((file, "the area of interest") for file in areas)]


def _check(job: Job, ours: bool, made: Set[Path]) -> None:
    """Refuses a job whose files or tables could not be written; `ours`: whether existing ones may be replaced."""
    for target in job.layers:
        target.check(ours, job.append, target.path.parent in made)
    for target in job.vectors[len(job.layers) :]:
        target.check(ours, folder_is_made=target.path.parent in made)
    if job.quicklook is not None:
        check_output(job.quicklook, [job.quicklook], ours, job.quicklook.parent in made)
    _refuse_shared(job)
    for table in job.tables:
        check_target(table, ours, job.append)


def _check_claims(jobs: Sequence[Job]) -> None:
    """Refuses outputs that several scenes share."""
    claimed: dict[object, int] = {}
    for index, job in enumerate(jobs):
        alone = job.outputs if not job.append else job.outputs[len(job.layers) :]
        for output in (*alone, *(() if job.append else job.tables)):
            other = claimed.setdefault(_claim(output) if isinstance(output, Path) else output, index)
            if other != index:
                raise UsageError(
                    f"scenes '{jobs[other].name}' and '{job.name}' would both write '{output}'; use a folder with "
                    "-o, --append to collect them in one .gpkg file, or 'lcageo batch' for a layer each and one of all"
                )


def _claim(path: Path) -> object:
    """What two names of one file have in common: on macOS, as on Windows, also names that differ in case alone."""
    return str(path.absolute()).casefold() if sys.platform == "darwin" else path.absolute()


def _layers(scene: str, outputs: Sequence[Path]) -> tuple[FileTarget, ...]:
    name = _stem(scene) + DEFAULT_SUFFIX
    return tuple(FileTarget.of(_file(path, name)) for path in outputs) or (FileTarget.of(Path(name)),)


def _further_layer(scene: str, path: Path | None, what: str) -> FileTarget | None:
    """Target of a layer of holes or of a review: a map layer, since formats of boxes in pixels cannot hold them."""
    return None if path is None else FileTarget.of_layer(_file(path, f"{_stem(scene)}-{what}{DEFAULT_SUFFIX}"))


def _stem(scene: str) -> str:
    """The name of a scene's results."""
    return scene_name(scene)


def _is_folder_of_scenes(path: Path) -> bool:
    """Whether a path is a folder with TIFF files; some formats of rasters are folders, too."""
    return path.is_dir() and (path.resolve() == Path.cwd() or any(path.glob("*.[tT][iI][fF]*")))


def _refuse_shared(job: Job) -> None:
    """Refuses a job of which two layers would be the same file."""
    taken = {target.path.absolute(): "-o" for target in job.layers}
    for option, target in (("--holes", job.holes), ("--review", job.review)):
        if target is not None:
            other = taken.setdefault(target.path.absolute(), option)
            if other != option:
                raise UsageError(f"{other} and {option} would both write '{target}'; choose another file with {option}")


def _file(output: Path, name: str) -> Path:
    """The file that a user means: the one given, or `name` in the folder given."""
    return output / name if output.is_dir() or not output.suffix else output


def _picture(scene: str, quicklook: Path | None) -> Path | None:
    if quicklook is None:
        return None
    if quicklook.is_dir() or not quicklook.suffix:
        return quicklook / f"{_stem(scene)}.png"
    if quicklook.suffix.lower() != ".png":
        raise UsageError(f"quicklook '{quicklook}' is neither a folder nor a .png file")
    return quicklook
