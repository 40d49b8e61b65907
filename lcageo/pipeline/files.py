"""Several scenes from paths to files: where results go, one scene's failure kept to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from lcageo.config import DetectConfig
from lcageo.errors import DeviceError, InterruptedRunError, LcageoError, OutputError, UsageError
from lcageo.geodesy import to_longitude_latitude
from lcageo.output.formats import files_of
from lcageo.output.publish import check_output, make_folder
from lcageo.pipeline.detect import Progress, detect_planned
from lcageo.pipeline.identity import run_identity
from lcageo.pipeline.journal import Earlier, Journal, broke_off_publishing, journal_path
from lcageo.pipeline.plan import plan_scene
from lcageo.pipeline.runner import TileRunner, Warn
from lcageo.pipeline.scene_report import SceneReport
from lcageo.pipeline.stop import StopRequest
from lcageo.scene.georef import Georeference
from lcageo.scene.raster import open_scene

DEFAULT_SUFFIX = ".geojson"


@dataclass(frozen=True, slots=True)
class Job:
    """One scene and the files to make of it."""

    scene: str
    layers: tuple[Path, ...]
    quicklook: Path | None
    holes: Path | None = None
    """A layer of what could not be read."""
    review: Path | None = None
    """A layer of what to label next."""

    @property
    def vectors(self) -> tuple[Path, ...]:
        """All vector files to make."""
        return (*self.layers, *(path for path in (self.holes, self.review) if path is not None))

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files to make."""
        return (*self.vectors, *([self.quicklook] if self.quicklook else []))


@dataclass(frozen=True, slots=True)
class JobReport:
    """How a job ended: with a result, or with the error that stopped it."""

    job: Job
    result: SceneReport | None
    error: LcageoError | None
    warnings: tuple[str, ...] = ()
    """What the user was told of it."""


def plan_jobs(
    scenes: Sequence[str],
    outputs: Sequence[Path],
    quicklook: Path | None,
    overwrite: bool,
    dry_run: bool = False,
    holes: Path | None = None,
    review: Path | None = None,
) -> tuple[Job, ...]:
    """Decides every output's path, and refuses what could not be written, before any work is done.

    Args:
        scenes: paths of rasters.
        outputs: files, whose suffixes choose the format, or a folder (made if it is missing) for NAME.geojson; none:
            the current folder.
        quicklook: a PNG, or a folder (made if it is missing) for NAME.png.
        overwrite: whether existing files may be replaced.
        dry_run: nothing will be written, so nothing is made or refused.
        holes: a vector file, or a folder (made if it is missing) for NAME-holes.geojson.
        review: likewise, for NAME-review.geojson.

    Raises:
        UsageError: if several scenes would write one file, or a file exists and may not be replaced.
        OutputError: if a folder is missing or read-only.
    """
    if dry_run:
        return tuple(Job(scene, (), None) for scene in scenes)
    jobs = tuple(
        Job(
            scene,
            _layers(scene, outputs),
            _picture(scene, quicklook),
            _further_layer(scene, holes, "holes"),
            _further_layer(scene, review, "review"),
        )
        for scene in scenes
    )
    made = {folder for folder in (*outputs, quicklook, holes, review) if folder is not None and not folder.suffix}
    twice = [scene for index, scene in enumerate(scenes) if scene in scenes[:index]]
    if twice:
        raise UsageError(f"scene '{twice[0]}' is named twice; name each once")
    inputs = {Path(scene).resolve() for scene in scenes}
    claimed: dict[Path, int] = {}
    for index, job in enumerate(jobs):
        ours = overwrite or broke_off_publishing(journal_path(job.layers[0]))
        for path in job.vectors:
            check_output(path, files_of(path), ours, path.parent in made)
        if job.quicklook is not None:
            check_output(job.quicklook, [job.quicklook], ours, job.quicklook.parent in made)
        _refuse_shared(job)
        for path in job.outputs:
            if path.resolve() in inputs:
                raise UsageError(
                    f"output '{path}' is one of the scenes; give another file with -o, --holes, --review or --quicklook"
                )
            other = claimed.setdefault(path.absolute(), index)
            if other != index:
                raise UsageError(
                    f"scenes '{jobs[other].scene}' and '{job.scene}' would both write '{path}'; give a folder with -o, "
                    "or run scenes of the same name one by one"
                )
    return jobs


def run_jobs(
    jobs: Sequence[Job],
    runner: TileRunner,
    config: DetectConfig,
    warn: Warn,
    on_progress: Callable[[Job, Progress], None],
    earlier: Earlier = Earlier.SAME,
) -> Iterator[JobReport]:
    """Runs jobs, as many at a time as keep the runner busy; a scene that fails costs only itself.

    What is done of a scene is kept in a journal beside its first layer until the result is in its place: a job that
    was stopped or killed goes on from there. A device that fails and an interruption end the run: they would end every
    other scene as well.

    Args:
        jobs: what to do; reports come as they end.
        runner: the model.
        config: what to find and how.
        warn: receives lines that the user should read; it and on_progress may be called from several threads.
        on_progress: called at a scene's start and after every batch.
        earlier: what becomes of the journals of runs that broke off.

    Raises:
        DeviceError: if the device cannot run the model.
        InterruptedRunError: when stopped by a signal.
    """
    for folder in {path.parent for job in jobs for path in job.outputs}:
        make_folder(folder)
    with StopRequest() as stop:

        def run(job: Job) -> JobReport:
            return _attempt(job, runner, config, warn, partial(on_progress, job), earlier, stop)

        if runner.scenes_at_once == 1:
            yield from map(run, jobs)
        else:
            yield from _together(run, jobs, runner.scenes_at_once, stop)


def _together(
    run: Callable[[Job], JobReport], jobs: Sequence[Job], at_once: int, stop: StopRequest
) -> Iterator[JobReport]:
    rest, running = iter(jobs), set[Future[JobReport]]()
    stopped: LcageoError | MemoryError | None = None
    with ThreadPoolExecutor(at_once, thread_name_prefix="lcageo-scene") as pool:
        try:
            while True:
                if stopped is None:
                    running |= {pool.submit(run, job) for job in islice(rest, at_once - len(running))}
                if not running:
                    break
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    try:
                        report = future.result()
                    except (DeviceError, InterruptedRunError, MemoryError) as error:
                        # The others stop at their next batch; those that are through still count.
                        stopped, stop.asked = stopped or error, True
                    else:
                        yield report
        except BaseException:
            stop.asked = True  # the threads are not to go on for nobody
            raise
    if stopped is not None:
        raise stopped


def _attempt(
    job: Job,
    runner: TileRunner,
    config: DetectConfig,
    warn: Warn,
    on_progress: Callable[[Progress], None],
    earlier: Earlier,
    stop: StopRequest,
) -> JobReport:
    if stop.asked:
        raise InterruptedRunError(f"stopped before scene '{job.scene}'")
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        warn(line)

    try:
        result = _run(job, runner, config, tell, on_progress, earlier, stop)
    except (DeviceError, InterruptedRunError):
        raise
    except LcageoError as error:
        return JobReport(job, None, error, tuple(told))
    except MemoryError:
        raise
    except Exception as error:  # a bug of ours costs its scene, not all the others
        bug = LcageoError(f"unexpected {type(error).__name__}: {error}; please report it with the output of --debug")
        bug.__cause__ = error
        return JobReport(job, None, bug, tuple(told))
    return JobReport(job, result, None, tuple(told))


def _run(
    job: Job,
    runner: TileRunner,
    config: DetectConfig,
    warn: Warn,
    on_progress: Callable[[Progress], None],
    earlier: Earlier,
    stop: StopRequest,
) -> SceneReport:
    with open_scene(job.scene, config.bands) as scene:
        check_placeable(scene.info.georeference, job.vectors)
        plan = plan_scene(scene, runner.card, config)
        with Journal.open(journal_path(job.layers[0]), run_identity(plan, runner, config), earlier) as journal:
            for line in plan.warnings:
                warn(line)
            result = detect_planned(plan, runner, config, journal, warn, on_progress, stop)
            from lcageo.pipeline.results import write_results  # geopandas: not before the first tile
            from lcageo.pipeline.review import review_scene

            review = None if job.review is None else review_scene(plan, config, runner.card, journal)
            write_results(job, scene, result, journal, review)
            journal.remove()
    return result


def check_placeable(georeference: Georeference, layers: Sequence[Path]) -> None:
    """Refuses GeoJSON for a scene that has no longitude and latitude, before any tile is run.

    Raises:
        OutputError: naming a format that keeps the scene's own CRS.
    """
    if georeference.crs is None:
        return
    for path in layers:
        if path.suffix == DEFAULT_SUFFIX and not to_longitude_latitude(georeference.crs):
            raise OutputError(
                f"output '{path}' would need longitude and latitude, which the scene's CRS "
                f"({georeference.crs.name}) does not have; give another format, such as -o {path.with_suffix('.gpkg')}"
            )


def _layers(scene: str, outputs: Sequence[Path]) -> tuple[Path, ...]:
    name = Path(scene).stem + DEFAULT_SUFFIX
    return tuple(_layer(path, name) for path in outputs) or (Path(name),)


def _further_layer(scene: str, path: Path | None, what: str) -> Path | None:
    return None if path is None else _layer(path, f"{Path(scene).stem}-{what}{DEFAULT_SUFFIX}")


def _refuse_shared(job: Job) -> None:
    """Refuses that two of a job's layers would be one file."""
    taken = {path.absolute(): "-o" for path in job.layers}
    for option, path in (("--holes", job.holes), ("--review", job.review)):
        if path is not None:
            other = taken.setdefault(path.absolute(), option)
            if other != option:
                raise UsageError(f"{other} and {option} would both write '{path}'; give another file with {option}")


def _layer(output: Path, name: str) -> Path:
    """The file that a user means: what was named, or `name` in that folder."""
    if output.is_dir() or not output.suffix:
        return output / name
    # A suffix in capitals is the same format; written small, since GDAL's drivers and companions know it so.
    return output.with_suffix(output.suffix.lower())


def _picture(scene: str, quicklook: Path | None) -> Path | None:
    if quicklook is None:
        return None
    if quicklook.is_dir() or not quicklook.suffix:
        return quicklook / f"{Path(scene).stem}.png"
    if quicklook.suffix.lower() != ".png":
        raise UsageError(f"quicklook '{quicklook}' is neither a folder nor a .png file")
    return quicklook
