"""Fields whose values are codes, with names for them in the file, as QGIS and ArcGIS make them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path


def add_domain(path: Path, column: str, names: Mapping[int, str]) -> Path:
    """Gives the codes in a column of a GeoPackage names; the column has to be of 32 bits."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            "CREATE TABLE gpkg_data_columns (table_name, column_name, name, title, description, mime_type,"
            " constraint_name);"
            "CREATE TABLE gpkg_data_column_constraints (constraint_name, constraint_type, value, min,"
            " min_is_inclusive, max, max_is_inclusive, description);"
        )
        row = (path.stem, column, column, None, None, None, "kinds")
        database.execute("INSERT INTO gpkg_data_columns VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        rows = [("kinds", "enum", str(code), None, None, None, None, name) for code, name in names.items()]
        database.executemany("INSERT INTO gpkg_data_column_constraints VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return path
