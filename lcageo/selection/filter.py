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
from lcageo.selection.criteria import Choice, Chooser
from lcageo.selection.pixels import MapToPixels
from lcageo.vector.database_table import DatabaseTable, is_database
from lcageo.vector.features import features
from lcageo.vector.formats import VectorFormat
from lcageo.vector.objects import Objects, PixelBoxes, write_objects
from lcageo.vector.publish import Publication
from lcageo.vector.read import LayerFile, open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.reproject import reprojected
from lcageo.vector.target import FileTarget, Target, check_target
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
    output: Path | DatabaseTable,
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
        output: the table, or the file, whose suffix chooses the format, to write.
        choice: what to keep.
        crs: to write in, as EPSG:4326; None: the layer's own. GeoJSON is always in longitude and latitude.
        overwrite: whether the output may be replaced.
        append: whether objects are added to an existing GeoPackage or table.

    Raises:
        UsageError: if the output exists, has no known suffix, is the source or does not fit, or the CRS is not known.
        DataError: if a layer cannot be read, or lacks what the choice or the output requires.
        OutputError: if the output cannot be written, or an object has no place in the CRS.
    """
    if is_database(str(source)):
        raise UsageError("IN is a file; a table is read with ogr2ogr, for instance into a .gpkg file")
    target = _checked_target(source, output, crs, overwrite, append)
    layer = open_layer(source, "")
    to = _target_crs(crs, target, layer.crs)
    chooser = Chooser.of(choice, _thresholds(layer.record), layer.crs)
    chooser.look_at(layer.parts())
    with Publication() as publication:
        write_objects(_objects(layer, chooser, to, source), target, publication, append)
        publication.publish()
    missing = [name for name in (*choice.classes, *choice.per_class) if name not in chooser.read]
    there = ", ".join(sorted(chooser.read)) or "none"
    warnings = tuple(f"'{source}' has no '{name}'; its classes: {there}" for name in dict.fromkeys(missing))
    if chooser.read and not chooser.kept:
        warnings += (f"none of the {sum(chooser.read.values()):,} objects of '{source}' is kept",)
    return FilterCounts(dict(chooser.read), dict(chooser.kept), warnings)


def _checked_target(
    source: Path, output: Path | DatabaseTable, crs: str | None, overwrite: bool, append: bool
) -> Target:
    if append and (overwrite or crs is not None):
        raise UsageError(f"--append and {'--overwrite' if overwrite else '--to'} cannot be combined")
    target = output if isinstance(output, DatabaseTable) else FileTarget.of(output)
    if isinstance(target, FileTarget):
        if target.path.absolute() == source.absolute():
            raise UsageError(f"'{target}' is the layer to choose from; name another file")
        if crs is not None and target.is_label_file:
            raise UsageError(f"'{target}' holds pixels, which have no CRS; leave out --to")
    check_target(target, overwrite, append)
    return target


def _objects(layer: LayerFile, chooser: Chooser, to: pyproj.CRS | None, source: Path) -> Objects:
    """What the chooser keeps of a layer, for any target."""
    how = {**chooser.choice.as_json(), "from": str(source), "version": __version__}
    record = replace(layer.record, filtered=(*layer.record.filtered, how))
    if chooser.thresholds:
        record = replace(record, thresholds=chooser.reached())
    if to is not None:
        record = replace(record, crs=to.to_string())

    def boxes() -> PixelBoxes:
        back = MapToPixels.of(layer)
        return PixelBoxes(back.detections(_parts(layer, chooser, to)), back.classes, back.grid)

    return Objects(lambda: _parts(layer, chooser, to), boxes, record)


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
            yield kept if crs is None else reprojected(kept, crs)
            first = False
    if first:  # a layer without features: GeoJSON has no place for their columns
        yield features(Detections.empty(), (), lambda xs, ys: (xs, ys), crs or layer.crs, "")


def _target_crs(text: str | None, target: Target, own: pyproj.CRS | None) -> pyproj.CRS | None:
    """The CRS to move features to; None where they stay."""
    form = target.format if isinstance(target, FileTarget) else None
    geojson = isinstance(form, VectorFormat) and form.longitude_latitude
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
