"""Objects -> any target: a map layer, boxes in pixels, more rows of an existing layer, or a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import geopandas

from lcageo.detections import Detections
from lcageo.vector.database_table import DatabaseTable
from lcageo.vector.existing_layer import ExistingLayer
from lcageo.vector.formats import VectorFormat
from lcageo.vector.geopackage import append_layer, look_at_geopackage
from lcageo.vector.pixel_labels import PixelGrid, write_labels
from lcageo.vector.postgis import TableTransaction
from lcageo.vector.publish import Publication
from lcageo.vector.record import RunRecord
from lcageo.vector.target import Target
from lcageo.vector.write import EncodedPart, write_encoded, write_layer


@dataclass(frozen=True, slots=True)
class PixelBoxes:
    """Objects as boxes in scene pixels."""

    parts: Iterable[Detections]
    classes: tuple[str, ...]
    grid: PixelGrid


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects to write, with the record of the run. Each target requests them again in the form that it stores."""

    features: Callable[[], Iterable[geopandas.GeoDataFrame]]
    """Yields them as map features, see `write_layer`."""
    boxes: Callable[[], PixelBoxes]
    """Returns them as boxes in pixels."""
    record: RunRecord
    encoded: Callable[[VectorFormat], Iterable[EncodedPart]] | None = None
    """Yields them in the form that a format stores; None: made of the features."""


def existing_layer(target: Target) -> ExistingLayer | None:
    """Reads what appending to a target requires; None if it does not exist.

    Raises:
        UsageError, DataError, OutputError: if it cannot be read, or another program has it open.
    """
    if isinstance(target, DatabaseTable):
        with TableTransaction(target) as transaction:
            return transaction.look() if transaction.exists() else None
    return look_at_geopackage(target.path) if target.path.exists() else None


def write_objects(
    objects: Objects, target: Target, publication: Publication, append: bool = False, resumed: bool = False
) -> None:
    """Drafts objects for a target; they appear when the publication is published.

    Args:
        objects: what to write.
        target: where to write; an existing result is replaced, unless `append`.
        publication: collects the draft.
        append: whether to add to an existing GeoPackage or table.
        resumed: whether an earlier attempt may have written the objects: a target that has the run is left alone.

    Raises:
        UsageError: if the objects do not fit what they are appended to.
        OutputError: if they cannot be written.
    """
    if isinstance(target, DatabaseTable):
        _write_table(objects, publication.transaction(target), append, resumed)
    elif target.is_label_file:
        boxes = objects.boxes()
        write_labels(boxes.parts, boxes.classes, boxes.grid, objects.record, publication.draft_of(target))
    elif append and target.path.exists():
        if not (resumed and look_at_geopackage(target.path).has_run(objects.record.run)):
            append_layer(objects.features(), objects.record, target, publication)
    else:
        draft = publication.draft_of(target)
        if objects.encoded is None:
            write_layer(objects.features(), objects.record, draft)
        else:
            write_encoded(objects.encoded(target.vector_format), objects.record, draft)


def _write_table(objects: Objects, transaction: TableTransaction, append: bool, resumed: bool) -> None:
    if append and transaction.exists():
        if not (resumed and transaction.look().has_run(objects.record.run)):
            transaction.append(objects.features(), objects.record)
    else:
        transaction.write(objects.features(), objects.record)
