"""A scene's results as files and tables: layers, boxes in pixels, holes, a review, a quicklook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL.Image import Image

from lcageo.errors import UsageError
from lcageo.inference.jobs import Job
from lcageo.inference.record import SceneSummary
from lcageo.inference.review import Review, review_features
from lcageo.inference.review_form import review_qml
from lcageo.inference.runner import Map, Warn, map_here
from lcageo.journal.journal import Journal
from lcageo.pictures.quicklook import LONGEST_SIDE, belonging, draw_quicklook, save_quicklook
from lcageo.scene.describe import SceneInfo
from lcageo.scene.georef import north_in_picture
from lcageo.scene.raster import Scene
from lcageo.scene.stretch import reduced_image
from lcageo.transform import accuracy_warnings
from lcageo.vector.features import feature_parts, hole_features, numbered
from lcageo.vector.formats import VectorFormat
from lcageo.vector.objects import Objects, PixelBoxes, existing_layer, write_objects
from lcageo.vector.pixel_labels import PixelGrid
from lcageo.vector.postgis import check_crs
from lcageo.vector.publish import Publication
from lcageo.vector.write import EncodedPart, Encoding, encoded_objects, write_layer


def check_fit(job: Job, info: SceneInfo, classes: Sequence[str], run: str, journal: Journal, warn: Warn) -> None:
    """Refuses objects that do not fit the layers or tables that they are to be appended to, before any tile is run.

    Args:
        job: the outputs.
        info: of the job's scene.
        classes: of the model.
        run: name of the run, which a layer must not hold twice.
        journal: of the run; if it broke off while publishing, some of the layers may already hold its result.
        warn: receives messages that the user should read.

    Raises:
        UsageError: if they do not fit, or are in the layer already.
        OutputError: if the database cannot store the CRS, or an existing layer cannot be read.
    """
    crs = info.georeference.crs
    existing = [existing_layer(target) for target in job.targets] if job.append else []
    for layer in filter(None, existing):
        layer.check_crs(crs)
        for line in accuracy_warnings(f"positions in '{layer.name}'", [(crs, layer.crs, *info.centre())], info.gsd_m):
            warn(line)
        layer.check_classes({name: label for label, name in enumerate(classes)})
        if layer.has_run(run) and not journal.has_begun_publishing():
            raise UsageError(
                f"'{layer.name}' already has the objects that this run would find in scene '{info.path}'; use other "
                "settings, or another output"
            )
        if layer.has_scene(info.path) and not layer.has_run(run):
            warn(f"'{layer.name}' already has objects of scene '{info.path}', from a run with other settings")
    for table in job.tables:
        check_crs(crs, table)


def write_results(
    job: Job,
    scene: Scene,
    summary: SceneSummary,
    journal: Journal,
    review: Review | None = None,
    each: Map = map_here,
) -> None:
    """Writes all files and tables of a job, which appear together.

    Each of them is either complete or unchanged. If the machine fails between one and the next, running the same
    command again completes the rest, by means of the journal.

    Args:
        job: the outputs.
        scene: the open scene.
        summary: of the run.
        journal: with the objects.
        review: what to label next, if the job asks for it.
        each: what makes map features of objects, see `TileRunner.map`.

    Raises:
        OutputError: if one cannot be written; then none is.
        UsageError: if an existing layer has changed since the job started.
    """
    georeference, name = summary.info.georeference, summary.info.name
    about = replace(summary.record, thresholds=None)  # objects of the other two layers need not reach them
    objects = _objects(summary, journal, each)
    with Publication() as publication:
        for target in job.targets:
            write_objects(objects, target, publication, job.append, resumed=journal.has_begun_publishing())
        if job.holes is not None:
            reasons = [hole.reason for hole in summary.holes]
            holes = hole_features(summary.hole_bounds(), reasons, georeference.to_map, georeference.crs, name)
            write_layer([holes], about, publication.draft_of(job.holes))
        if job.review is not None and review is not None:
            layer = review_features(review, summary.classes, georeference.to_map, georeference.crs, name)
            write_layer([layer], about, publication.draft_of(job.review), review_qml(summary.classes))
        if job.quicklook is not None:
            save_quicklook(_drawn(scene, summary, journal), publication.draft(job.quicklook, belonging(job.quicklook)))
        journal.begin_publishing()
        publication.publish()


def _objects(summary: SceneSummary, journal: Journal, each: Map) -> Objects:
    """The journal's objects, for any target."""
    info, place = summary.info, summary.info.georeference

    def encoded(form: VectorFormat) -> Iterator[EncodedPart]:
        encoding = Encoding(summary.classes, place.to_map, place.crs, info.name, form)
        return each(encoded_objects, encoding, numbered(journal.objects()))

    grid = PixelGrid(Path(info.path).name, info.width, info.height)
    return Objects(
        lambda: feature_parts(journal.objects(), summary.classes, place.to_map, place.crs, info.name),
        lambda: PixelBoxes(journal.objects(), summary.classes, grid),
        summary.record,
        encoded,
    )


def _drawn(scene: Scene, summary: SceneSummary, journal: Journal) -> Image:
    image = reduced_image(scene, summary.stretch, LONGEST_SIDE)
    info = summary.info
    width, height = image.shape[2] / info.width, image.shape[1] / info.height
    size_m = info.pixel_size_m
    return draw_quicklook(
        image,
        (summary.found_only(objects).scaled_and_shifted((width, height), 0, 0) for objects in journal.objects()),
        summary.per_class(),
        summary.classes,
        f"{summary.info.name}, found: {summary.objects:,}, model: {summary.record.model}",
        None if size_m is None else size_m[0] / width,  # the bar lies along the rows
        north_in_picture(info.georeference, info.width, info.height, info.pixel_shape),
    )
