"""A layer of found objects chosen from anew, without running the model: streamed from file to file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyproj

import lcageo
from lcageo.detections import Detections
from lcageo.errors import OutputError, UsageError
from lcageo.geodesy import WGS84, to_longitude_latitude
from lcageo.output.choice import Choice, Chooser
from lcageo.output.features import features
from lcageo.output.formats import files_of
from lcageo.output.layer_reader import LayerFile, open_layer
from lcageo.output.publish import Publication, check_output
from lcageo.output.vector import write_layer

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True, slots=True)
class FilterReport:
    """How many objects of each class were read and kept."""

    read: dict[str, int]
    kept: dict[str, int]
    warnings: tuple[str, ...]


def filter_layer(
    source: Path, target: Path, choice: Choice, crs: str | None = None, overwrite: bool = False
) -> FilterReport:
    """Writes what a choice keeps of a layer, in any format and CRS, in its order.

    Ids, attributes and provenance stay. Where the choice names no score, objects are kept that reach the thresholds
    their layer was made with: those that `detect` would have found without --keep.

    Args:
        source: a layer that this tool wrote; others do where they have the columns that are needed.
        target: the file to write; its suffix chooses the format.
        choice: what to keep.
        crs: to write in, as EPSG:4326; None: the layer's own. GeoJSON is always in longitude and latitude.
        overwrite: whether the target may be replaced.

    Raises:
        UsageError: if the target exists, has no known suffix or is the source, or the CRS is not known.
        DataError: if a layer cannot be read, or lacks what the choice needs.
        OutputError: if the target cannot be written, or an object has no place in the CRS.
    """
    if target.absolute() == source.absolute():
        raise UsageError(f"'{target}' is the layer to choose from; give another file")
    check_output(target, files_of(target), overwrite)
    layer = open_layer(source, "")
    to = _target_crs(crs, target, layer.crs)
    thresholds = layer.provenance.get("thresholds", {})
    chooser = Chooser.of(choice, thresholds if isinstance(thresholds, dict) else {}, layer.crs)
    chooser.look_at(layer.parts())
    how = {**choice.as_json(), "from": str(source), "version": lcageo.__version__}
    provenance = {**layer.provenance, "filtered": [*layer.provenance.get("filtered", []), how]}
    if to is not None:
        provenance["crs"] = to.to_string()
    with Publication() as publication:
        write_layer(_parts(layer, chooser, to), provenance, publication.draft(target, files_of(target)))
        publication.publish()
    missing = [name for name in (*choice.classes, *choice.per_class) if name not in chooser.read]
    there = ", ".join(sorted(chooser.read)) or "none"
    warnings = tuple(f"'{source}' has no '{name}'; its classes: {there}" for name in dict.fromkeys(missing))
    return FilterReport(dict(chooser.read), dict(chooser.kept), warnings)


def _parts(layer: LayerFile, chooser: Chooser, crs: pyproj.CRS | None) -> Iterator[GeoDataFrame]:
    """Parts to write; the first even where nothing is kept, for the columns."""
    first = True
    for part in layer.parts():
        kept = chooser.chosen(part)
        if first or len(kept):
            yield kept if crs is None else _moved(kept, crs)
            first = False
    if first:  # a layer without features: GeoJSON has no place for their columns
        yield features(Detections.empty(), (), lambda xs, ys: (xs, ys), crs or layer.crs, "")


def _target_crs(text: str | None, target: Path, own: pyproj.CRS | None) -> pyproj.CRS | None:
    """The CRS to move features to; None where they stay."""
    if text is None:
        if target.suffix == ".geojson" and own is not None and not to_longitude_latitude(own):
            raise UsageError(f"{own.name} has no longitude and latitude, which GeoJSON needs; give another format")
        return None
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise UsageError(f"--to '{text}' is not a CRS that PROJ knows; give one like EPSG:4326") from error
    if target.suffix == ".geojson" and crs not in (pyproj.CRS(WGS84), pyproj.CRS(4326)):
        raise UsageError(f"GeoJSON is in longitude and latitude, not in {crs.name}; leave out --to, or give .gpkg")
    if own is None:
        raise UsageError("the layer has no CRS, so that it cannot be brought to another; leave out --to")
    return crs


def _moved(part: GeoDataFrame, crs: pyproj.CRS) -> GeoDataFrame:
    try:
        moved = part.to_crs(crs)
    except pyproj.exceptions.ProjError as error:
        raise OutputError(f"the objects cannot be brought to {crs.name}: {error}; give another --to") from error
    if len(moved) and not np.isfinite(moved.total_bounds).all():
        raise OutputError(f"some objects have no place in {crs.name}; give another --to")
    return moved
