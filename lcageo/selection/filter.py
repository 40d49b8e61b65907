"""Selecting again from a layer of objects, without running the model: streamed from file to file or table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyproj

from lcageo.detections import Detections
from lcageo.errors import UsageError
from lcageo.geodesy import WGS84, to_longitude_latitude
from lcageo.layer_source import shown
from lcageo.selection.criteria import Criteria, Selector
from lcageo.selection.pixels import MapToPixels
from lcageo.transform import accuracy_warnings
from lcageo.vector.database_table import DatabaseTable, is_database
from lcageo.vector.features import features
from lcageo.vector.formats import VectorFormat
from lcageo.vector.objects import Objects, PixelBoxes, write_objects
from lcageo.vector.parts import apart_note, taken_apart
from lcageo.vector.publish import Publication, refuse_inputs
from lcageo.vector.read import LayerFile, open_layer
from lcageo.vector.reproject import reprojected
from lcageo.vector.target import FileTarget, Target, check_target, layer_files
from lcageo.version import __version__

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True, slots=True)
class FilterCounts:
    """Number of objects of each class that were read and kept."""

    read: dict[str, int]
    kept: dict[str, int]
    warnings: tuple[str, ...]


def filter_layer(
    source: Path,
    output: Path | DatabaseTable,
    criteria: Criteria,
    crs: str | None = None,
    overwrite: bool = False,
    append: bool = False,
    class_field: str | None = None,
) -> FilterCounts:
    """Writes the objects of a layer that meet criteria, in any format and CRS, in the layer's order.

    Ids (except of appended objects), attributes and the record of the run stay. Where the criteria set no score and
    the layer has candidates, objects are kept that reach its thresholds: those that `detect` would have found without
    --keep.

    Args:
        source: a layer of any origin; see `LayerFile.as_objects` for what is taken for its classes and scores.
        output: the table, or the file, whose suffix selects the format, to write.
        criteria: which objects to keep.
        crs: CRS to write in, as EPSG:4326; None: the layer's own. GeoJSON is always in longitude and latitude.
        overwrite: whether the output may be replaced.
        append: whether objects are added to an existing GeoPackage or table.
        class_field: attribute that holds the classes; None: it is found by its name.

    Raises:
        UsageError: if the output exists, has no known suffix, is the source or does not fit, or the CRS is not known.
        DataError: if a layer cannot be read, or lacks what the criteria or the output require.
        OutputError: if the output cannot be written, or an object cannot be transformed to the CRS.
    """
    if is_database(str(source)):
        raise UsageError("IN must be a file; export the table first, for instance to a .gpkg file with ogr2ogr")
    target = _checked_target(source, criteria.aoi, output, crs, overwrite, append)
    layer, notes = open_layer(source, "").as_objects(class_field)
    to = _target_crs(crs, target, layer.crs)
    selector = Selector.of(criteria, layer.record.least_scores(), layer.record.has_candidates, layer.crs)
    selector.find_cutoff(taken_apart(part)[0] for part in layer.parts())
    with Publication() as publication:
        write_objects(_objects(layer, selector, to, source), target, publication, append)
        publication.publish()
    told = shown(source)
    missing = [name for name in (*criteria.classes, *criteria.per_class) if name not in selector.read]
    known = ", ".join(sorted(selector.read)) or "none"
    warnings = notes + tuple(f"'{told}' has no '{name}'; its classes: {known}" for name in dict.fromkeys(missing))
    warnings += _unplaced(layer, target) + _accuracy(
        layer, to or (pyproj.CRS(WGS84) if _in_degrees(target) else None), target
    )
    warnings += tuple(apart_note(f"'{told}'", selector.apart))
    if selector.read and not selector.kept:
        warnings += (f"none of the {sum(selector.read.values()):,} objects of '{told}' meets the criteria",)
    return FilterCounts(dict(selector.read), dict(selector.kept), warnings)


def _checked_target(
    source: Path, aoi: Path | None, output: Path | DatabaseTable, crs: str | None, overwrite: bool, append: bool
) -> Target:
    if append and (overwrite or crs is not None):
        raise UsageError(f"--append and {'--overwrite' if overwrite else '--to'} cannot be combined")
    target = output if isinstance(output, DatabaseTable) else FileTarget.of(output)
    if isinstance(target, FileTarget):
        read = [(file, "the input") for file in layer_files(source)]
        read += [(file, "the area of interest") for file in layer_files(aoi)] if aoi is not None else []
        refuse_inputs((*target.files, *target.belonging), read)
        if crs is not None and target.is_label_file:
            raise UsageError(f"'{target}' is in pixels, which have no CRS; leave out --to")
    check_target(target, overwrite, append)
    return target


def _objects(layer: LayerFile, selector: Selector, to: pyproj.CRS | None, source: Path) -> Objects:
    """The objects of a layer that the selector keeps, for any target."""
    how = {**selector.criteria.as_json(), "from": shown(source), "version": __version__}
    record = replace(layer.record, filtered=(*layer.record.filtered, how))
    if selector.thresholds:
        record = replace(record, thresholds=selector.reached())
    if (crs := to or layer.crs) is not None:  # the record of GeoJSON names that of the scene
        record = replace(record, crs=crs.to_string())

    def boxes() -> PixelBoxes:
        back = MapToPixels.of(layer)
        return PixelBoxes(back.detections(_parts(layer, selector, to)), back.classes, back.grid)

    return Objects(lambda: _parts(layer, selector, to), boxes, record)


def _parts(layer: LayerFile, selector: Selector, crs: pyproj.CRS | None) -> Iterator[GeoDataFrame]:
    """Parts to write; at least one, for the columns, even where nothing is kept."""
    first = True
    for part, apart in map(taken_apart, layer.parts()):
        selector.apart += apart
        kept = selector.selected(part)
        if first or len(kept):
            yield kept if crs is None else reprojected(kept, crs)
            first = False
    if first:  # a layer without features: GeoJSON does not store their columns
        yield features(Detections.empty(), (), lambda xs, ys: (xs, ys), crs or layer.crs, "")


def _accuracy(layer: LayerFile, to: pyproj.CRS | None, target: Target) -> tuple[str, ...]:
    """A warning if moving to another CRS is less accurate than the pixels of the layer's scene."""
    first = next((part for part in layer.parts(count=1) if len(part)), None)
    if first is None:
        return ()
    west, south, _, _ = first.total_bounds.tolist()
    return accuracy_warnings(f"positions in '{target}'", [(layer.crs, to, west, south)], layer.record.scene_gsd_m)


def _unplaced(layer: LayerFile, target: Target) -> tuple[str, ...]:
    """A warning where coordinates that may be anything, even metres, are written as longitudes and latitudes."""
    if layer.crs is not None or layer.record.of_pixels or not _in_degrees(target):
        return ()
    return (
        f"'{layer.name}' has no CRS: its coordinates are written as they are, but programs take those of GeoJSON for "
        "longitude and latitude; write another format, or assign the CRS first with 'ogr2ogr -a_srs EPSG:CODE OUT IN'",
    )


def _in_degrees(target: Target) -> bool:
    """Whether a target stores longitude and latitude, whatever the CRS."""
    form = target.format if isinstance(target, FileTarget) else None
    return isinstance(form, VectorFormat) and form.longitude_latitude


def _target_crs(text: str | None, target: Target, own: pyproj.CRS | None) -> pyproj.CRS | None:
    """The CRS to move features to; None where they stay."""
    geojson = _in_degrees(target)
    if text is None:
        if geojson and own is not None and not to_longitude_latitude(own):
            raise UsageError(f"{own.name} has no longitude and latitude, which GeoJSON requires; choose another format")
        return None
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise UsageError(f"--to '{text}' is not a CRS known to PROJ; use one like EPSG:4326") from error
    if geojson and crs not in (pyproj.CRS(WGS84), pyproj.CRS(4326)):
        raise UsageError(
            f"GeoJSON is in longitude and latitude, not in {crs.name}; leave out --to, or write a .gpkg file"
        )
    if own is None:
        raise UsageError("the layer has no CRS, so it cannot be reprojected; leave out --to")
    return crs
