"""Appending to a GeoPackage that is there: to a copy, which takes its place when it is whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path

import geopandas
import pyogrio

from lcageo.errors import OutputError, UsageError
from lcageo.vector.existing_layer import ExistingLayer
from lcageo.vector.publish import Publication
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.style import renew_style
from lcageo.vector.target import FileTarget
from lcageo.vector.write import GDAL_ERRORS, CountedParts, check_complete, write_stream

BUSY_S = 10.0
"""Seconds to wait for another program that writes to the file."""


def look_at_geopackage(path: Path) -> ExistingLayer:
    """What a GeoPackage holds, to append to.

    Raises:
        UsageError: if another program has it open.
        DataError: if it is no vector file, or has several layers.
        OutputError: if it cannot be read.
    """
    _settle(path)
    return _contents(path, path)


def append_layer(
    parts: Iterable[geopandas.GeoDataFrame], record: RunRecord, target: FileTarget, publication: Publication
) -> None:
    """Drafts what a GeoPackage will be: all that it holds, other tables and styles too, and more objects.

    Args:
        parts: as of `write_layer`; brought to the layer's CRS, their ids go on from its last.
        record: of the new objects.
        target: the file, which stays as it is until the publication.
        publication: takes the draft.

    Raises:
        UsageError: if the objects do not fit the layer, or another program has the file open.
        DataError: if it is no vector file, or has several layers.
        OutputError: if the draft cannot be written.
    """
    path = target.path
    _settle(path)
    draft = publication.draft(path, extends=True)
    with _told(path), closing(sqlite3.connect(path, timeout=BUSY_S)) as old, closing(sqlite3.connect(draft)) as new:
        old.backup(new)  # consistent even if another program writes meanwhile; `publish` would notice
    before = _contents(draft, path)
    layer = open_layer(draft, "output").layer
    info = pyogrio.read_info(draft, layer=layer)
    counted = CountedParts(before.fitted(parts))
    with _told(path):
        write_stream(
            counted,
            draft,
            layer=layer,
            driver="GPKG",
            append=True,
            geometry_type=info["geometry_type"],
            crs=None if before.crs is None else before.crs.to_wkt(),
            layer_metadata={**(info["layer_metadata"] or {}), "lcageo": json.dumps(before.joined(record).as_json())},
        )
        check_complete(draft, "GPKG", before.features + counted.features, layer)
        renew_style({**before.class_ids, **(counted.classes or {})}, draft, str(layer))


def _settle(path: Path) -> None:
    """Makes the file a single one.

    While a program has it open in SQLite's WAL mode (QGIS does so), a part of it lies in a second file. That one would
    be taken for a part of the file that replaces the first, so nobody may be using it.
    """
    with _told(path), closing(sqlite3.connect(path, timeout=BUSY_S)) as base:
        if base.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            base.execute("PRAGMA journal_mode = DELETE")


def _contents(path: Path, known_as: Path) -> ExistingLayer:
    layer = open_layer(path, "output")
    columns = tuple(map(str, pyogrio.read_info(path, layer=layer.layer)["fields"]))
    table = '"' + str(layer.layer).replace('"', '""') + '"'
    with _told(known_as), closing(sqlite3.connect(path, timeout=BUSY_S)) as base:
        ((features,),) = base.execute(f"SELECT COUNT(*) FROM {table}")
        last = base.execute(f"SELECT MAX(id) FROM {table}").fetchone()[0] if "id" in columns else 0
        if not isinstance(last, int | None):
            raise UsageError(f"'{known_as}' cannot be appended to: its column 'id' is no number; give another")
        both = {"class", "class_id"} <= set(columns)
        pairs = base.execute(f"SELECT DISTINCT class, class_id FROM {table}").fetchall() if both else []
    class_ids = {str(name): int(number) for name, number in pairs if name is not None and number is not None}
    return ExistingLayer(str(known_as), layer.crs, columns, class_ids, features, last or 0, layer.record)


@contextmanager
def _told(path: Path) -> Generator[None, None, None]:
    """Turns errors of SQLite and GDAL into what a user should know and do."""
    try:
        yield
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise UsageError(f"'{path}' is open in another program; close it there, and run this again") from error
        raise OutputError(f"'{path}' cannot be appended to: {error}; is the disk full or the file damaged?") from error
    except (OSError, *GDAL_ERRORS) as error:
        raise OutputError(f"'{path}' cannot be appended to: {error}; is the disk full or read-only?") from error
