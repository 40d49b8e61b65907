"""Appending to an existing GeoPackage: to a copy, which replaces the file once it is complete."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path

import geopandas
import pyogrio

from lcageo.database import settle
from lcageo.errors import OutputError, UsageError
from lcageo.plain_path import plain_draft, plain_path
from lcageo.vector.existing_layer import ExistingLayer
from lcageo.vector.publish import BUSY_S, Publication, is_open_elsewhere
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.style import renew_style
from lcageo.vector.target import FileTarget
from lcageo.vector.write import GDAL_ERRORS, CountedParts, check_complete, with_allowed_names, write_stream


def look_at_geopackage(path: Path) -> ExistingLayer:
    """Reads what appending to a GeoPackage requires.

    Raises:
        UsageError: if another program has it open.
        DataError: if it is not a vector file, or has several layers.
        OutputError: if it cannot be read.
    """
    _settle(path)
    return _contents(path, path)


def append_layer(
    parts: Iterable[geopandas.GeoDataFrame], record: RunRecord, target: FileTarget, publication: Publication
) -> None:
    """Drafts the new version of a GeoPackage: all that it holds, including other tables and styles, and more objects.

    Args:
        parts: as in `write_layer`; transformed to the layer's CRS, with ids that continue from its last one.
        record: record of the new objects.
        target: the file, which is unchanged until publication.
        publication: collects the draft.

    Raises:
        UsageError: if the objects do not fit the layer, or another program has the file open.
        DataError: if it is not a vector file, or has several layers.
        OutputError: if the draft cannot be written.
    """
    path = target.path
    _settle(path)
    draft = publication.draft(path, extends=True)
    with (
        _readable_errors(path),
        closing(sqlite3.connect(path.absolute(), timeout=BUSY_S)) as old,
        closing(sqlite3.connect(draft.absolute())) as new,
    ):
        old.backup(new)  # consistent even if another program writes meanwhile; `publish` would notice
    before = _contents(draft, path)
    layer = open_layer(draft, "output").layer
    named = (with_allowed_names(part, target.vector_format) for part in parts)
    counted, joined = CountedParts(before.fitted(named)), before.joined(record)
    with _readable_errors(path), plain_draft(draft) as plain:
        info = pyogrio.read_info(plain, layer=layer)
        write_stream(
            counted,
            plain,
            layer=layer,
            driver="GPKG",
            append=True,
            geometry_type=info["geometry_type"],
            crs=None if before.crs is None else before.crs.to_wkt(),
            layer_metadata={**(info["layer_metadata"] or {}), "lcageo": json.dumps(joined.as_json())},
        )
        check_complete(plain, "GPKG", before.features + counted.features, layer)
        renew_style({**before.class_ids, **(counted.classes or {})}, joined, plain, str(layer))


def _settle(path: Path) -> None:
    """Makes sure that the GeoPackage consists of a single file, and that no other program has it open."""
    with _readable_errors(path):
        settle(path, BUSY_S)


def _contents(path: Path, known_as: Path) -> ExistingLayer:
    layer = open_layer(path, "output")
    with plain_path(path) as plain:
        columns = tuple(map(str, pyogrio.read_info(plain, layer=layer.layer)["fields"]))
    table = '"' + str(layer.layer).replace('"', '""') + '"'
    with _readable_errors(known_as), closing(sqlite3.connect(path.absolute(), timeout=BUSY_S)) as base:
        ((features,),) = base.execute(f"SELECT COUNT(*) FROM {table}")
        last = base.execute(f"SELECT MAX(id) FROM {table}").fetchone()[0] if "id" in columns else 0
        if not isinstance(last, int | None):
            raise UsageError(f"cannot append to '{known_as}': its column 'id' is not a number; choose another output")
        both = {"class", "class_id"} <= set(columns)
        pairs = base.execute(f"SELECT DISTINCT class, class_id FROM {table}").fetchall() if both else []
    class_ids = {str(name): int(number) for name, number in pairs if name is not None and number is not None}
    return ExistingLayer(str(known_as), layer.crs, columns, class_ids, features, last or 0, layer.record)


@contextmanager
def _readable_errors(path: Path) -> Generator[None, None, None]:
    """Turns errors of SQLite and GDAL into errors with a remedy."""
    try:
        yield
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise is_open_elsewhere(path) from error
        raise OutputError(f"cannot append to '{path}': {error}; is the disk full or the file damaged?") from error
    except (OSError, *GDAL_ERRORS) as error:
        raise OutputError(f"cannot append to '{path}': {error}; is the disk full or read-only?") from error
