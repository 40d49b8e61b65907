"""A scene's results as files and tables: layers, boxes in pixels, what could not be read, a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

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
from lcageo.vector.existing import ExistingLayer
from lcageo.vector.features import feature_parts, hole_features
from lcageo.vector.formats import files_of, is_label_file
from lcageo.vector.geopackage import append_layer, look_at_geopackage
from lcageo.vector.pixel_labels import PixelGrid, write_labels
from lcageo.vector.postgis import TableTransaction, check_crs
from lcageo.vector.publish import Publication
from lcageo.vector.write import write_layer

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


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
    for there in _existing(job):
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
    with Publication() as publication, ExitStack() as stack:
        for path in job.layers:
            _write_file(path, job, summary, journal, publication)
        if job.holes is not None:
            reasons = [hole.reason for hole in summary.holes]
            holes = hole_features(summary.hole_bounds(), reasons, georeference.to_map, georeference.crs, name)
            write_layer([holes], about, publication.draft(job.holes, files_of(job.holes)))
        if job.review is not None and review is not None:
            layer = review_features(review, summary.classes, georeference.to_map, georeference.crs, name)
            write_layer([layer], about, publication.draft(job.review, files_of(job.review)))
        if job.quicklook is not None:
            save_quicklook(_drawn(scene, summary, journal), publication.draft(job.quicklook))
        transactions = [stack.enter_context(TableTransaction(table)) for table in job.tables]
        for transaction in transactions:
            _write_table(transaction, job, summary, journal)
        journal.begin_publishing()
        for transaction in transactions:
            transaction.commit()
        publication.publish()


def _existing(job: Job) -> Iterator[ExistingLayer]:
    """What there is to append to."""
    if not job.append:
        return
    for path in job.layers:
        if path.exists():
            yield look_at_geopackage(path)
    for table in job.tables:
        with TableTransaction(table) as transaction:
            if transaction.exists():
                yield transaction.look()


def _write_file(path: Path, job: Job, summary: SceneSummary, journal: Journal, publication: Publication) -> None:
    if is_label_file(path):
        grid = PixelGrid(Path(summary.info.path).name, summary.info.width, summary.info.height)
        draft = publication.draft(path, files_of(path))
        write_labels(journal.objects(), summary.classes, grid, summary.record, draft)
    elif job.append and path.exists():
        if not (journal.has_begun_publishing() and look_at_geopackage(path).has_run(summary.record.run)):
            append_layer(_features(summary, journal), summary.record, path, publication)
    else:
        write_layer(_features(summary, journal), summary.record, publication.draft(path, files_of(path)))


def _write_table(transaction: TableTransaction, job: Job, summary: SceneSummary, journal: Journal) -> None:
    if job.append and transaction.exists():
        if not (journal.has_begun_publishing() and transaction.look().has_run(summary.record.run)):
            transaction.append(_features(summary, journal), summary.record)
    else:
        transaction.write(_features(summary, journal), summary.record)


def _features(summary: SceneSummary, journal: Journal) -> Iterator[GeoDataFrame]:
    place = summary.info.georeference
    return feature_parts(journal.objects(), summary.classes, place.to_map, place.crs, summary.info.name)


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
