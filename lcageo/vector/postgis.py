"""Map features -> a table of a PostGIS database, in one transaction: all or nothing."""

from __future__ import annotations

import json
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any

import geopandas
import pyproj
import shapely

from lcageo.errors import OutputError, UsageError
from lcageo.extras import require
from lcageo.geodesy import WGS84
from lcageo.vector.database_table import DatabaseTable, without_password
from lcageo.vector.existing_layer import ExistingLayer
from lcageo.vector.features import without_heights
from lcageo.vector.record import RunRecord

if TYPE_CHECKING:
    from sqlalchemy import Connection

CONNECT_S = 15
"""Seconds to wait for a server that does not answer."""
LOCK_S = 60
"""Seconds to wait for other clients that write to the table."""
PACKAGES = ("sqlalchemy", "geoalchemy2", "psycopg")


class TableTransaction:
    """One transaction on a table. A context manager: everything is rolled back unless it was committed."""

    def __init__(self, table: DatabaseTable) -> None:
        """Connects.

        Raises:
            UsageError: if the extra 'postgis' is not installed.
            OutputError: if the database cannot be reached, or has no PostGIS.
        """
        require(f"output '{table}'", "postgis", *PACKAGES)
        self.table = table
        with self._readable_errors():
            self._connection = _connect(table)
        try:
            with self._readable_errors():
                self._execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
            with self._readable_errors("needs PostGIS: run CREATE EXTENSION postgis there; the server reports"):
                self._execute("SELECT PostGIS_Version()")
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> TableTransaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()  # rolls back what was not committed

    def commit(self) -> None:
        """Commits the transaction.

        Raises:
            OutputError: if the database refuses, or the connection is lost.
        """
        with self._readable_errors():
            self._connection.commit()

    def exists(self) -> bool:
        """Whether the table (or a view of that name) exists."""
        with self._readable_errors():
            return self._value("SELECT to_regclass({text}) IS NOT NULL") is True

    def look(self) -> ExistingLayer:
        """Reads what appending to the table, which must exist, requires; locks it until the transaction ends.

        Raises:
            UsageError: if it is not a table with a column 'geometry', as this tool creates them.
            OutputError: if it cannot be read.
        """
        with self._readable_errors():
            columns = self._rows(
                "SELECT attname FROM pg_attribute "
                "WHERE attrelid = to_regclass({text}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            )
            names = tuple(name for (name,) in columns)
            kind = self._value("SELECT relkind::text FROM pg_class WHERE oid = to_regclass({text})")
            if "geometry" not in names or kind not in ("r", "p"):
                raise UsageError(f"'{self.table}' is not a table with a column 'geometry'; choose another one")
            self._execute("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            count = self._value("SELECT count(*) FROM {table}")
            last = self._value("SELECT max(id) FROM {table}") if "id" in names else 0
            if not isinstance(last, int | None):
                raise UsageError(
                    f"cannot append to '{self.table}': its column 'id' is not a number; choose another output"
                )
            both = {"class", "class_id"} <= set(names)
            pairs = self._rows("SELECT DISTINCT class, class_id FROM {table}") if both else []
            srid = self._value("SELECT Find_SRID({schema}, {name}, 'geometry')")
            record = self._record()
        crs = pyproj.CRS.from_epsg(srid) if srid else None
        class_ids = {str(name): int(number) for name, number in pairs if name is not None and number is not None}
        others = tuple(name for name in names if name != "geometry")
        return ExistingLayer(str(self.table), crs, others, class_ids, count, last or 0, record)

    def write(self, parts: Iterable[geopandas.GeoDataFrame], record: RunRecord) -> None:
        """Creates the table, or replaces it if it exists.

        `id` is its primary key if the ids are unique; the record of the run is its comment.

        Args:
            parts: as in `write_layer`.
            record: record of the objects.

        Raises:
            OutputError: if it cannot be created.
        """
        rest = map(_with_code, parts)
        first = next(rest)
        check_crs(first.crs, self.table)
        with self._readable_errors():
            if self.exists():
                self._execute("DROP TABLE {table}")
            self._add(first.iloc[:0], if_exists="fail")
            mixed = (shapely.get_type_id(first.geometry.to_numpy()) != shapely.GeometryType.POLYGON).any()
            kind = "Geometry" if mixed else "Polygon"  # geopandas cannot infer it from an empty part
            srid = 0 if first.crs is None else first.crs.to_epsg()
            self._execute(f"ALTER TABLE {{table}} ALTER geometry TYPE geometry({kind}, {srid})")
            self._add_all(chain([first], rest))
            # Objects drawn by hand may have no id, or that of the object they were copied from.
            if "id" in first and self._value("SELECT count(*) = count(DISTINCT id) FROM {table}"):
                self._execute("ALTER TABLE {table} ADD PRIMARY KEY (id)")
            self._describe(record)

    def append(self, parts: Iterable[geopandas.GeoDataFrame], record: RunRecord) -> None:
        """Appends objects to the table, in its CRS, with ids that continue from its last one.

        Raises:
            UsageError: if they do not fit it.
            OutputError: if they cannot be written.
        """
        before = self.look()
        with self._readable_errors():
            self._add_all(before.fitted(parts))
            self._describe(before.joined(record))

    def _add_all(self, parts: Iterable[geopandas.GeoDataFrame]) -> None:
        for part in parts:
            if len(part):
                self._add(part, if_exists="append")

    def _add(self, part: geopandas.GeoDataFrame, if_exists: str) -> None:
        with warnings.catch_warnings():
            # Pixel coordinates have no CRS; the user has already been warned.
            warnings.filterwarnings("ignore", "Could not parse CRS", UserWarning)
            flat = without_heights(part)
            flat.to_postgis(self.table.name, self._connection, schema=self.table.schema, if_exists=if_exists)

    def _describe(self, record: RunRecord) -> None:
        self._execute("COMMENT ON TABLE {table} IS {comment}", comment=json.dumps({"lcageo": record.as_json()}))

    def _record(self) -> RunRecord:
        comment = self._value("SELECT obj_description(to_regclass({text}), 'pg_class')")
        try:
            return RunRecord.from_json(json.loads(comment or "{}")["lcageo"])
        except (ValueError, LookupError, TypeError):  # not written by lcageo
            return RunRecord()

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._execute(query).fetchall()
        return rows

    def _value(self, query: str) -> Any:
        return self._rows(query)[0][0]

    def _execute(self, statement: str, **literals: str) -> Any:
        """Runs a statement; {table} is the quoted table name, {schema}, {name} and {text} (both) are literals."""
        from psycopg import sql

        identifier = sql.Identifier(self.table.schema, self.table.name)
        values = {"schema": self.table.schema, "name": self.table.name, "text": identifier.as_string(None), **literals}
        composed = sql.SQL(statement).format(
            table=identifier, **{name: sql.Literal(value) for name, value in values.items()}
        )
        cursor = self._connection.connection.cursor()
        cursor.execute(composed)
        return cursor

    @contextmanager
    def _readable_errors(self, what: str = "cannot be written") -> Generator[None, None, None]:
        """Turns errors of the database into a one-line message without the password."""
        import psycopg
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, psycopg.Error, ValueError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise OutputError(
                f"table '{self.table}' {what}: {without_password(reason)}; check the server, user and permissions"
            ) from error


def check_table(table: DatabaseTable, may_be_there: bool) -> None:
    """Checks, before any work is done, that a table can be written.

    Raises:
        UsageError: if it exists, unless `may_be_there`, or the extra 'postgis' is not installed.
        OutputError: if the database cannot be reached, or has no PostGIS.
    """
    with TableTransaction(table) as transaction:
        if transaction.exists() and not may_be_there:
            raise UsageError(
                f"table '{table}' exists; use --overwrite to replace it, --append to add to it, or choose another "
                "?table=NAME"
            )


def check_crs(crs: pyproj.CRS | None, table: DatabaseTable) -> None:
    """Checks that a CRS has an EPSG code, which PostGIS requires.

    Raises:
        OutputError: if it has none.
    """
    if crs is not None and crs != WGS84 and pyproj.CRS(crs).to_epsg() is None:
        raise OutputError(
            f"table '{table}' requires a CRS with an EPSG code, but {pyproj.CRS(crs).name} has none; write a file "
            "instead, or set the scene's code with 'rio edit-info --crs EPSG:CODE'"
        )


def _with_code(part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Sets EPSG:4326 for longitude and latitude: in PostGIS, x comes first whatever the CRS says."""
    return part.set_crs(4326, allow_override=True) if part.crs == WGS84 else part


def _connect(table: DatabaseTable) -> Connection:
    from sqlalchemy import NullPool, create_engine

    _, _, rest = table.url.partition("://")
    timeout = {} if "connect_timeout=" in rest else {"connect_timeout": CONNECT_S}
    connection = create_engine(f"postgresql+psycopg://{rest}", poolclass=NullPool, connect_args=timeout).connect()
    connection.begin()  # otherwise geopandas would commit what it writes
    return connection
