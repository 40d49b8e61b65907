"""Several scenes from paths to files; a scene that fails does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest

import pyproj

from lcageo.errors import DeviceError, InterruptedRunError, LcageoError, ModelError, OutputError, unexpected
from lcageo.geodesy import WGS84, has_esri_wkt, to_longitude_latitude
from lcageo.inference.asked import open_asked
from lcageo.inference.hints import hints
from lcageo.inference.identity import run_identity, run_name
from lcageo.inference.jobs import Job
from lcageo.inference.plan import ScenePlan, plan_scene
from lcageo.inference.record import SceneSummary
from lcageo.inference.scene import Run, detect_planned
from lcageo.journal.journal import Journal
from lcageo.remote import is_remote
from lcageo.scene.describe import SceneInfo
from lcageo.scene.georef import Georeference
from lcageo.stop import StopRequest
from lcageo.transform import accuracy_warnings
from lcageo.vector.formats import VectorFormat
from lcageo.vector.publish import make_folder, refuse_inputs, remove_abandoned
from lcageo.vector.target import FileTarget


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended: with a summary of its result, or with the error that stopped it."""

    job: Job
    result: SceneSummary | None
    error: LcageoError | None
    warnings: tuple[str, ...] = ()
    """Messages about it that were shown to the user."""


def run_jobs(jobs: Sequence[Job], run: Run) -> Iterator[JobOutcome]:
    """Runs jobs, as many at a time as keep the runner busy; a scene that fails does not affect the others.

    The finished tiles of a scene are kept in a journal (see `Job.journal`) until the result is in place: a job that was
    stopped or killed resumes from there. A failing device or an interruption ends the run, since it would end every
    other scene as well.

    Args:
        jobs: what to do; outcomes are yielded as jobs end.
        run: what they share; this function handles stopping.

    Raises:
        DeviceError: if the device cannot run the model.
        ModelError: if the model is missing or damaged, here or on a cluster's worker.
        InterruptedRunError: when stopped by a signal.
    """
    for folder in {path.parent for job in jobs for path in (*job.outputs, job.journal)}:
        make_folder(folder)
        remove_abandoned(folder)
    appending = any(job.append for job in jobs)  # one after the other: usually to the same layer
    with StopRequest() as stop:
        run = replace(run, stop=stop)
        if run.runner.scenes_at_once == 1 or appending:
            yield from _one_by_one(jobs, run)
        else:
            yield from _together(jobs, run, stop)


def _one_by_one(jobs: Sequence[Job], run: Run) -> Iterator[JobOutcome]:
    """Runs one scene after the other; the next one, if it is on a server, is opened and planned meanwhile."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="lcageo-open")
    opened: Future[ScenePlan] | None = None
    try:
        for job, following in zip_longest(jobs, jobs[1:]):
            open_plan = partial(_planned, job, run) if opened is None else opened.result
            opened = pool.submit(_planned, following, run) if following and is_remote(following.scene) else None
            yield _attempt(job, run, open_plan)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _together(jobs: Sequence[Job], run: Run, stop: StopRequest) -> Iterator[JobOutcome]:
    """Runs several scenes at a time."""
    at_once = run.runner.scenes_at_once
    rest, running = iter(jobs), set[Future[JobOutcome]]()
    stopped: LcageoError | MemoryError | None = None
    with ThreadPoolExecutor(at_once, thread_name_prefix="lcageo-scene") as pool:
        try:
            while True:
                if stopped is None:
                    running |= {
                        pool.submit(_attempt, job, run, partial(_planned, job, run))
                        for job in islice(rest, at_once - len(running))
                    }
                if not running:
                    break
                # On Windows, Ctrl-C does not interrupt a wait without a time limit.
                ended, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in ended:
                    try:
                        outcome = future.result()
                    except (DeviceError, ModelError, InterruptedRunError, MemoryError) as error:
                        # The others stop at their next batch; those that have finished still count.
                        stopped, stop.asked = stopped or error, True
                    else:
                        yield outcome
        except BaseException:
            stop.asked = True  # nobody waits for the threads any more
            raise
    if stopped is not None:
        raise stopped


def _attempt(job: Job, run: Run, open_plan: Callable[[], ScenePlan]) -> JobOutcome:
    """Runs a job; `open_plan` gives the plan of its scene, which is closed at the end."""
    if run.stop is not None and run.stop.asked:
        raise InterruptedRunError(f"stopped before scene '{job.name}'")
    warnings: list[str] = []

    def warn(line: str) -> None:
        warnings.append(line)
        run.warn(line)

    try:
        result = _run(job, replace(run, warn=warn), open_plan())
    except (DeviceError, ModelError, InterruptedRunError):
        raise
    except LcageoError as error:
        return JobOutcome(job, None, error, tuple(warnings))
    except MemoryError:
        raise
    except Exception as error:  # a bug of ours fails this scene, not all the others
        bug = LcageoError(unexpected(error))
        bug.__cause__ = error
        return JobOutcome(job, None, bug, tuple(warnings))
    return JobOutcome(job, result, None, tuple(warnings))


def _planned(job: Job, run: Run) -> ScenePlan:
    """Opens a job's scene, which the caller closes, and plans what is read of it."""
    card, config = run.runner.card, run.config
    scene = open_asked(job.scene, card, config)
    try:
        refuse_inputs(job.files, ((file, f"a file of scene '{job.name}'") for file in scene.files()))
        check_placeable(scene.info.georeference, job.vectors)
        return plan_scene(scene, card, config, run.runner.prepare)
    except BaseException:
        scene.close()
        raise


def _run(job: Job, run: Run, plan: ScenePlan) -> SceneSummary:
    card = run.runner.card
    config = run.config.for_model(card.iou)
    with plan.reader.scene as scene:
        identity = run_identity(plan, run.runner, config)  # waits for the model
        if run.stop is not None and run.stop.asked:
            raise InterruptedRunError(f"stopped before scene '{job.name}'")
        with Journal.open(job.journal, identity, run.earlier) as journal:
            for line in (*plan.warnings, *accuracy_in_degrees(scene.info, job.vectors)):
                run.warn(line)
            name = run_name(identity)
            if job.append or job.tables:
                from lcageo.inference.results import check_fit

                check_fit(job, scene.info, card.classes, name, journal, run.warn)
            result = detect_planned(plan, run, name, journal)
            result = replace(result, hints=hints(plan, config, card, journal, result.objects, result.tiles))
            from lcageo.inference.results import write_results  # imports geopandas: not before the first tile
            from lcageo.inference.review import review_scene

            review = None if job.review is None else review_scene(plan, config, card, journal)
            write_results(job, scene, result, journal, review, run.runner.map)
            journal.remove()
    return result


def check_placeable(georeference: Georeference, layers: Sequence[FileTarget]) -> None:
    """Refuses, before any tile is run, layers whose format cannot hold the scene's CRS.

    GeoJSON requires longitude and latitude. A Shapefile's .prj is ESRI's WKT, which has no derived CRS, such as rotated
    poles, and no shift to WGS 84 of a CRS's own: GDAL would leave out the .prj or the shift.

    Raises:
        OutputError: with the name of a format that keeps the scene's own CRS.
    """
    crs = georeference.crs
    if crs is None:
        return
    for target in layers:
        if _in_degrees(target) and not to_longitude_latitude(crs):
            lacks = f"requires longitude and latitude, which the scene's CRS ({crs.name}) does not have"
        elif target.path.suffix == ".shp" and not has_esri_wkt(crs):
            lacks = f"cannot store the scene's CRS ({crs.name}), which ESRI's WKT does not have"
        else:
            continue
        other = target.path.with_suffix(".gpkg")
        raise OutputError(f"output '{target}' {lacks}; use another format, such as -o {other}")


def accuracy_in_degrees(info: SceneInfo, layers: Sequence[FileTarget]) -> tuple[str, ...]:
    """A warning if layers in longitude and latitude would be less accurate than the scene's pixels."""
    names = " and ".join(f"'{target}'" for target in layers if _in_degrees(target))
    pairs = [(info.georeference.crs, pyproj.CRS(WGS84), *info.centre())] if names else []
    return accuracy_warnings(f"positions in {names}", pairs, info.gsd_m)


def _in_degrees(target: FileTarget) -> bool:
    return isinstance(target.format, VectorFormat) and target.format.longitude_latitude
