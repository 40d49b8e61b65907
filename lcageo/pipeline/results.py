"""A scene's results as files: layers, what could not be read, a picture."""

from __future__ import annotations

from PIL.Image import Image

from lcageo.output.features import feature_parts, hole_features
from lcageo.output.formats import files_of
from lcageo.output.publish import Publication
from lcageo.output.quicklook import LONGEST_SIDE, draw_quicklook, save_quicklook
from lcageo.output.review_layer import Review, review_features
from lcageo.output.vector import write_layer
from lcageo.pipeline.files import Job
from lcageo.pipeline.journal import Journal
from lcageo.pipeline.scene_report import SceneReport
from lcageo.scene.georef import north_in_picture
from lcageo.scene.raster import Scene
from lcageo.scene.stretch import reduced_image


def write_results(job: Job, scene: Scene, report: SceneReport, journal: Journal, review: Review | None = None) -> None:
    """Writes all files of a job, which appear together.

    Args:
        job: with their places.
        scene: open.
        report: of the run.
        journal: with the objects.
        review: what to label next, if the job asks for it.

    Raises:
        OutputError: if one cannot be written; then none is.
    """
    georeference, name = report.info.georeference, report.info.name
    with Publication() as publication:
        for path in job.layers:
            parts = feature_parts(journal.objects(), report.classes, georeference.to_map, georeference.crs, name)
            write_layer(parts, report.provenance, publication.draft(path, files_of(path)))
        if job.holes is not None:
            reasons = [hole.reason for hole in report.holes]
            holes = hole_features(report.hole_bounds(), reasons, georeference.to_map, georeference.crs, name)
            write_layer([holes], report.provenance, publication.draft(job.holes, files_of(job.holes)))
        if job.review is not None and review is not None:
            layer = review_features(review, report.classes, georeference.to_map, georeference.crs, name)
            write_layer([layer], report.provenance, publication.draft(job.review, files_of(job.review)))
        if job.quicklook is not None:
            save_quicklook(_drawn(scene, report, journal), publication.draft(job.quicklook))
        journal.begin_publishing()
        publication.publish()


def _drawn(scene: Scene, report: SceneReport, journal: Journal) -> Image:
    image = reduced_image(scene, report.stretch, LONGEST_SIDE)
    shrink = report.info.width / image.shape[2]
    size_m = report.info.pixel_size_m
    return draw_quicklook(
        image,
        (found.scaled_and_shifted(1 / shrink, 0, 0) for found in journal.objects()),
        report.per_class(),
        report.classes,
        f"{report.info.name}, objects: {report.objects:,}, model: {report.provenance['model']}",
        None if size_m is None else size_m[0] * shrink,  # the bar lies along the rows
        north_in_picture(report.info.georeference, report.info.width, report.info.height),
    )
