"""A scene's results as files and tables: layers, boxes in pixels, what could not be read, a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL.Image import Image

from lcageo.errors import UsageError
from lcageo.inference.jobs import Job
from lcageo.inference.journal import Journal
from lcageo.inference.record import SceneSummary
from lcageo.inference.review import Review, review_features
from lcageo.inference.runner import Warn
from lcageo.pictures.quicklook import LONGEST_SIDE, draw_quicklook, save_quicklook
from lcageo.scene.describe import SceneInfo
from lcageo.scene.georef import north_in_picture
from lcageo.scene.raster import Scene
from lcageo.scene.stretch import reduced_image
from lcageo.vector.features import feature_parts, hole_features
from lcageo.vector.objects import Objects, PixelBoxes, existing_layer, write_objects
from lcageo.vector.pixel_labels import PixelGrid
from lcageo.vector.postgis import check_crs
from lcageo.vector.publish import Publication
from lcageo.vector.write import write_layer


def check_fit(job: Job, info: SceneInfo, classes: Sequence[str], run: str, journal: Journal, warn: Warn) -> None:
    """Refuses objects that do not fit what they are to be appended to, before any tile is run.

    Args:
        job: what is to be made.
        info: of its scene.
        classes: of the model.
        run: name of the run, which a layer is not to hold twice.
        journal: of the run; one that broke off while its result was put in place may be in some of the layers.
        warn: receives lines that the user should read.

    Raises:
        UsageError: if they do not fit, or are in the layer already.
        OutputError: if a table can have no such CRS, or what is there cannot be read.
    """
    crs = info.georeference.crs
    existing = [existing_layer(target) for target in job.targets] if job.append else []
    for there in filter(None, existing):
        there.check_crs(crs)
        there.check_classes({name: label for label, name in enumerate(classes)})
        if there.has_run(run) and not journal.has_begun_publishing():
            raise UsageError(
                f"'{there.name}' already has what this run would find in scene '{info.path}'; give other settings, or "
                "another output"
            )
        if there.has_scene(info.path) and not there.has_run(run):
            warn(f"'{there.name}' has objects of scene '{info.path}' already, from a run with other settings")
    for table in job.tables:
        check_crs(crs, table)


def write_results(
    job: Job, scene: Scene, summary: SceneSummary, journal: Journal, review: Review | None = None
) -> None:
    """Writes all files and tables of a job, which appear together.

    A table is whole or as it was, and so is a file. Should the machine fail just between one and the next, the same
    command completes the rest, as the journal tells.

    Args:
        job: with their places.
        scene: open.
        summary: of the run.
        journal: with the objects.
        review: what to label next, if the job asks for it.

    Raises:
        OutputError: if one cannot be written; then none is.
        UsageError: if what is there has come to differ from what it was when the job began.
    """
    georeference, name = summary.info.georeference, summary.info.name
    about = replace(summary.record, thresholds=None)  # objects of the two further layers need not reach one
    objects = _objects(summary, journal)
    with Publication() as publication:
        for target in job.targets:
            write_objects(objects, target, publication, job.append, resumed=journal.has_begun_publishing())
        if job.holes is not None:
            reasons = [hole.reason for hole in summary.holes]
            holes = hole_features(summary.hole_bounds(), reasons, georeference.to_map, georeference.crs, name)
            write_layer([holes], about, publication.draft_of(job.holes))
        if job.review is not None and review is not None:
            layer = review_features(review, summary.classes, georeference.to_map, georeference.crs, name)
            write_layer([layer], about, publication.draft_of(job.review))
        if job.quicklook is not None:
            save_quicklook(_drawn(scene, summary, journal), publication.draft(job.quicklook))
        journal.begin_publishing()
        publication.publish()


def _objects(summary: SceneSummary, journal: Journal) -> Objects:
    """What the journal holds, for any target."""
    info, place = summary.info, summary.info.georeference
    grid = PixelGrid(Path(info.path).name, info.width, info.height)
    return Objects(
        lambda: feature_parts(journal.objects(), summary.classes, place.to_map, place.crs, info.name),
        lambda: PixelBoxes(journal.objects(), summary.classes, grid),
        summary.record,
    )


def _drawn(scene: Scene, summary: SceneSummary, journal: Journal) -> Image:
    image = reduced_image(scene, summary.stretch, LONGEST_SIDE)
    shrink = summary.info.width / image.shape[2]
    size_m = summary.info.pixel_size_m
    return draw_quicklook(
        image,
        (found.scaled_and_shifted(1 / shrink, 0, 0) for found in journal.objects()),
        summary.per_class(),
        summary.classes,
        f"{summary.info.name}, objects: {summary.objects:,}, model: {summary.record.model}",
        None if size_m is None else size_m[0] * shrink,  # the bar lies along the rows
        north_in_picture(summary.info.georeference, summary.info.width, summary.info.height),
    )
