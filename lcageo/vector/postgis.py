"""Map features -> a table of a PostGIS database: in one transaction, so that all of them arrive or nothing changes."""

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
from lcageo.vector.record import RunRecord

if TYPE_CHECKING:
    from sqlalchemy import Connection

CONNECT_S = 15
"""Seconds to wait for a server that does not answer."""
LOCK_S = 60
"""Seconds to wait for others that write to the table."""
PACKAGES = ("sqlalchemy", "geoalchemy2", "psycopg")


class TableTransaction:
    """One transaction on a table. Use it as a context: whatever was done is undone unless it was committed."""

    def __init__(self, table: DatabaseTable) -> None:
        """Connects.

        Raises:
            UsageError: if the extra 'postgis' is not installed.
            OutputError: if the database cannot be reached, or has no PostGIS.
        """
        require(f"output '{table}'", "postgis", *PACKAGES)
        self.table = table
        with self._told():
            self._connection = _connect(table)
        try:
            with self._told():
                self._execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
            with self._told("has no PostGIS there: run CREATE EXTENSION postgis in it; it says"):
                self._execute("SELECT PostGIS_Version()")
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> TableTransaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()  # undoes what was not committed

    def commit(self) -> None:
        """Makes it so.

        Raises:
            OutputError: if the database refuses, or is gone.
        """
        with self._told():
            self._connection.commit()

    def exists(self) -> bool:
        """Whether the table (or a view of its name) is there."""
        with self._told():
            return self._value("SELECT to_regclass({text}) IS NOT NULL") is True

    def look(self) -> ExistingLayer:
        """What the table, which must be there, holds; others cannot change it until the transaction ends.

        Raises:
            UsageError: if it is no table with a column 'geometry', as this tool makes them.
            OutputError: if it cannot be read.
        """
        with self._told():
            columns = self._rows(
                "SELECT attname FROM pg_attribute "
                "WHERE attrelid = to_regclass({text}) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            )
            names = tuple(name for (name,) in columns)
            kind = self._value("SELECT relkind::text FROM pg_class WHERE oid = to_regclass({text})")
            if "geometry" not in names or kind not in ("r", "p"):
                raise UsageError(f"'{self.table}' is no table with a column 'geometry'; give another ?table=NAME")
            self._execute("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            count = self._value("SELECT count(*) FROM {table}")
            last = self._value("SELECT max(id) FROM {table}") if "id" in names else 0
            if not isinstance(last, int | None):
                raise UsageError(f"'{self.table}' cannot be appended to: its column 'id' is no number; give another")
            both = {"class", "class_id"} <= set(names)
            pairs = self._rows("SELECT DISTINCT class, class_id FROM {table}") if both else []
            srid = self._value("SELECT Find_SRID({schema}, {name}, 'geometry')")
            record = self._record()
        crs = pyproj.CRS.from_epsg(srid) if srid else None
        class_ids = {str(name): int(number) for name, number in pairs if name is not None and number is not None}
        others = tuple(name for name in names if name != "geometry")
        return ExistingLayer(str(self.table), crs, others, class_ids, count, last or 0, record)

    def write(self, parts: Iterable[geopandas.GeoDataFrame], record: RunRecord) -> None:
        """Makes the table, in place of one that is there.

        Its primary key is `id` where every object has its own; the record is the comment on it.

        Args:
            parts: as of `write_layer`.
            record: of the objects.

        Raises:
            OutputError: if it cannot be made.
        """
        rest = map(_with_code, parts)
        first = next(rest)
        check_crs(first.crs, self.table)
        with self._told():
            if self.exists():
                self._execute("DROP TABLE {table}")
            self._add(first.iloc[:0], if_exists="fail")
            mixed = (shapely.get_type_id(first.geometry.to_numpy()) != shapely.GeometryType.POLYGON).any()
            kind = "Geometry" if mixed else "Polygon"  # of no features, geopandas cannot know
            srid = 0 if first.crs is None else first.crs.to_epsg()
            self._execute(f"ALTER TABLE {{table}} ALTER geometry TYPE geometry({kind}, {srid})")
            self._add_all(chain([first], rest))
            # Objects that somebody drew may have no id, or that of the one they were copied from.
            if "id" in first and self._value("SELECT count(*) = count(DISTINCT id) FROM {table}"):
                self._execute("ALTER TABLE {table} ADD PRIMARY KEY (id)")
            self._describe(record)

    def append(self, parts: Iterable[geopandas.GeoDataFrame], record: RunRecord) -> None:
        """Adds objects to the table, brought to its CRS; their ids go on from its last.

        Raises:
            UsageError: if they do not fit it.
            OutputError: if they cannot be written.
        """
        before = self.look()
        with self._told():
            self._add_all(before.fitted(parts))
            self._describe(before.joined(record))

    def _add_all(self, parts: Iterable[geopandas.GeoDataFrame]) -> None:
        for part in parts:
            if len(part):
                self._add(part, if_exists="append")

    def _add(self, part: geopandas.GeoDataFrame, if_exists: str) -> None:
        with warnings.catch_warnings():
            # Pixels have no CRS, and the user has been told.
            warnings.filterwarnings("ignore", "Could not parse CRS", UserWarning)
            part.to_postgis(self.table.name, self._connection, schema=self.table.schema, if_exists=if_exists)

    def _describe(self, record: RunRecord) -> None:
        self._execute("COMMENT ON TABLE {table} IS {comment}", comment=json.dumps({"lcageo": record.as_json()}))

    def _record(self) -> RunRecord:
        comment = self._value("SELECT obj_description(to_regclass({text}), 'pg_class')")
        try:
            return RunRecord.from_json(json.loads(comment or "{}")["lcageo"])
        except (ValueError, LookupError, TypeError):  # of another origin
            return RunRecord()

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._execute(query).fetchall()
        return rows

    def _value(self, query: str) -> Any:
        return self._rows(query)[0][0]

    def _execute(self, statement: str, **literals: str) -> Any:
        """Runs a statement in which {table} is the table's name, and {schema}, {name} and {text} are that as text."""
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
    def _told(self, what: str = "cannot be written") -> Generator[None, None, None]:
        """Turns what the database says into a line, without the password."""
        import psycopg
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, psycopg.Error, ValueError) as error:
            said = " ".join(str(getattr(error, "orig", None) or error).split())
            line = f"table '{self.table}' {what}: {without_password(said)}; check server, user and rights"
            raise OutputError(line) from error


def check_table(table: DatabaseTable, may_be_there: bool) -> None:
    """Refuses, before any work is done, a table that could not be written.

    Raises:
        UsageError: if it is there, unless it may be, or the extra 'postgis' is not installed.
        OutputError: if the database cannot be reached, or has no PostGIS.
    """
    with TableTransaction(table) as transaction:
        if transaction.exists() and not may_be_there:
            raise UsageError(
                f"table '{table}' exists; give --overwrite to replace it, --append to add to it, or another ?table=NAME"
            )


def check_crs(crs: pyproj.CRS | None, table: DatabaseTable) -> None:
    """Refuses a CRS that PostGIS has no number for.

    Raises:
        OutputError: naming it.
    """
    if crs is not None and crs != WGS84 and pyproj.CRS(crs).to_epsg() is None:
        raise OutputError(
            f"table '{table}' needs a CRS with an EPSG code, which {pyproj.CRS(crs).name} has not; write a file, "
            "or give the scene its code with 'rio edit-info --crs EPSG:CODE'"
        )


def _with_code(part: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Longitude and latitude get EPSG's code: PostGIS has x first whatever the CRS says."""
    return part.set_crs(4326, allow_override=True) if part.crs == WGS84 else part


def _connect(table: DatabaseTable) -> Connection:
    from sqlalchemy import NullPool, create_engine

    _, _, rest = table.url.partition("://")
    timeout = {} if "connect_timeout=" in rest else {"connect_timeout": CONNECT_S}
    connection = create_engine(f"postgresql+psycopg://{rest}", poolclass=NullPool, connect_args=timeout).connect()
    connection.begin()  # otherwise geopandas would commit what it writes
    return connection
