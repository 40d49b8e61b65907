"""A layer of found objects chosen from anew, without running the model: streamed from file to file or table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyproj

from lcageo.detections import Detections
from lcageo.errors import UsageError
from lcageo.geodesy import WGS84, to_longitude_latitude
from lcageo.inference.jobs import APPENDABLE
from lcageo.selection.choice import Choice, Chooser
from lcageo.selection.pixels import MapToPixels
from lcageo.vector.features import features
from lcageo.vector.formats import files_of, is_label_file
from lcageo.vector.geopackage import append_layer
from lcageo.vector.pixel_labels import write_labels
from lcageo.vector.postgis import TableTransaction, check_table
from lcageo.vector.publish import Publication, check_output
from lcageo.vector.read import LayerFile, open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.reproject import moved
from lcageo.vector.table import DatabaseTable, is_database
from lcageo.vector.write import write_layer
from lcageo.version import __version__

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True, slots=True)
class FilterCounts:
    """How many objects of each class were read and kept."""

    read: dict[str, int]
    kept: dict[str, int]
    warnings: tuple[str, ...]


def filter_layer(
    source: Path,
    target: Path | DatabaseTable,
    choice: Choice,
    crs: str | None = None,
    overwrite: bool = False,
    append: bool = False,
) -> FilterCounts:
    """Writes what a choice keeps of a layer, in any format and CRS, in its order.

    Ids (but of appended objects), attributes and the record of the run stay. Where the choice names no score, objects
    are kept that reach the thresholds their layer was made with: those that `detect` would have found without --keep.

    Args:
        source: a layer that this tool wrote; others do where they have the columns that are needed.
        target: the table, or the file, whose suffix chooses the format, to write.
        choice: what to keep.
        crs: to write in, as EPSG:4326; None: the layer's own. GeoJSON is always in longitude and latitude.
        overwrite: whether the target may be replaced.
        append: whether objects are added to a GeoPackage or table that is there.

    Raises:
        UsageError: if the target exists, has no known suffix, is the source or does not fit, or the CRS is not known.
        DataError: if a layer cannot be read, or lacks what the choice or the target needs.
        OutputError: if the target cannot be written, or an object has no place in the CRS.
    """
    if is_database(str(source)):
        raise UsageError("IN is a file; a table is read with ogr2ogr, for instance into a .gpkg file")
    _check_target(source, target, crs, overwrite, append)
    layer = open_layer(source, "")
    to = _target_crs(crs, target, layer.crs)
    chooser = Chooser.of(choice, _thresholds(layer.record), layer.crs)
    back = MapToPixels.of(layer) if isinstance(target, Path) and is_label_file(target) else None
    chooser.look_at(layer.parts())
    how = {**choice.as_json(), "from": str(source), "version": __version__}
    record = replace(layer.record, filtered=(*layer.record.filtered, how))
    if chooser.thresholds:
        record = replace(record, thresholds=chooser.reached())
    if to is not None:
        record = replace(record, crs=to.to_string())
    parts = _parts(layer, chooser, to)
    if isinstance(target, DatabaseTable):
        _write_table(parts, record, target, append)
    else:
        _write_file(parts, record, target, append, back)
    missing = [name for name in (*choice.classes, *choice.per_class) if name not in chooser.read]
    there = ", ".join(sorted(chooser.read)) or "none"
    warnings = tuple(f"'{source}' has no '{name}'; its classes: {there}" for name in dict.fromkeys(missing))
    if chooser.read and not chooser.kept:
        warnings += (f"none of the {sum(chooser.read.values()):,} objects of '{source}' is kept",)
    return FilterCounts(dict(chooser.read), dict(chooser.kept), warnings)


def _check_target(source: Path, target: Path | DatabaseTable, crs: str | None, overwrite: bool, append: bool) -> None:
    if append and (overwrite or crs is not None):
        raise UsageError(f"--append and {'--overwrite' if overwrite else '--to'} exclude each other; give one")
    if isinstance(target, DatabaseTable):
        check_table(target, overwrite or append)
        return
    if target.absolute() == source.absolute():
        raise UsageError(f"'{target}' is the layer to choose from; give another file")
    if append and target.suffix != APPENDABLE:
        raise UsageError(f"--append adds to {APPENDABLE} files and PostGIS tables, not to '{target}'; give one")
    if crs is not None and is_label_file(target):
        raise UsageError(f"'{target}' holds pixels, which have no CRS; leave out --to")
    check_output(target, files_of(target), overwrite or append)


def _write_file(
    parts: Iterator[GeoDataFrame], record: RunRecord, target: Path, append: bool, back: MapToPixels | None
) -> None:
    with Publication() as publication:
        if back is not None:
            draft = publication.draft(target, files_of(target))
            write_labels(back.detections(parts), back.classes, back.grid, record, draft)
        elif append and target.exists():
            append_layer(parts, record, target, publication)
        else:
            write_layer(parts, record, publication.draft(target, files_of(target)))
        publication.publish()


def _write_table(parts: Iterator[GeoDataFrame], record: RunRecord, target: DatabaseTable, append: bool) -> None:
    with TableTransaction(target) as transaction:
        if append and transaction.exists():
            transaction.append(parts, record)
        else:
            transaction.write(parts, record)
        transaction.commit()


def _thresholds(layer: RunRecord) -> dict[str, float]:
    """Least score per class that a layer was made with; the lowest where objects were appended to it."""
    lowest: dict[str, float] = {}
    for record in (layer, *layer.appended):
        for name, score in (record.thresholds or {}).items():
            lowest[name] = min(score, lowest.get(name, score))
    return lowest


def _parts(layer: LayerFile, chooser: Chooser, crs: pyproj.CRS | None) -> Iterator[GeoDataFrame]:
    """Parts to write; the first even where nothing is kept, for the columns."""
    first = True
    for part in layer.parts():
        kept = chooser.chosen(part)
        if first or len(kept):
            yield kept if crs is None else moved(kept, crs)
            first = False
    if first:  # a layer without features: GeoJSON has no place for their columns
        yield features(Detections.empty(), (), lambda xs, ys: (xs, ys), crs or layer.crs, "")


def _target_crs(text: str | None, target: Path | DatabaseTable, own: pyproj.CRS | None) -> pyproj.CRS | None:
    """The CRS to move features to; None where they stay."""
    geojson = isinstance(target, Path) and target.suffix == ".geojson"
    if text is None:
        if geojson and own is not None and not to_longitude_latitude(own):
            raise UsageError(f"{own.name} has no longitude and latitude, which GeoJSON needs; give another format")
        return None
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise UsageError(f"--to '{text}' is not a CRS that PROJ knows; give one like EPSG:4326") from error
    if geojson and crs not in (pyproj.CRS(WGS84), pyproj.CRS(4326)):
        raise UsageError(f"GeoJSON is in longitude and latitude, not in {crs.name}; leave out --to, or give .gpkg")
    if own is None:
        raise UsageError("the layer has no CRS, so that it cannot be brought to another; leave out --to")
    return crs
