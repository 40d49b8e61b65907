"""A PostGIS table as a target for results, as a user names it. Imports no database driver."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from lcageo.errors import UsageError

SCHEMES = ("postgresql", "postgres")
"""URL schemes that libpq accepts."""
LONGEST_NAME = 50
"""Bytes. PostgreSQL allows 63, and the name of the index on the geometry is that of the table plus thirteen bytes."""
_SECRET = re.compile(r"(postgres(?:ql)?:/+[^\s:/@]*:)[^\s]*(?=@)|(password=)[^\s&'\"]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DatabaseTable:
    """A table of a PostGIS database, which may not exist yet. Its text form omits the password."""

    url: str = field(repr=False)
    """Connection URL for libpq, including the password if the user gave one."""
    schema: str
    name: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        query = [(key, value) for key, value in parse_qsl(parts.query) if key != "password"]
        query.append(("table", self.name if self.schema == "public" else f"{self.schema}.{self.name}"))
        return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}?{urlencode(query, safe='/')}"


def is_database(text: str) -> bool:
    """Whether a text is a database URL; one slash is enough, since `Path` removes the second."""
    return text.lower().startswith(tuple(f"{scheme}:/" for scheme in SCHEMES))


def parse_table(text: str) -> DatabaseTable:
    """Parses 'postgresql://user@host/db?table=NAME' (or SCHEMA.NAME).

    Raises:
        UsageError: if the table is missing, or its name is not valid.
    """
    parts = urlsplit(text)
    query = parse_qsl(parts.query)
    tables = [value for key, value in query if key == "table"]
    if len(tables) != 1:
        raise UsageError(f"output '{without_password(text)}' must name one table; append ?table=NAME")
    schema, _, name = tables[0].rpartition(".")
    # geopandas doubles percent signs when it copies the rows.
    if not name or "%" in tables[0] or max(len(name.encode()), len(schema.encode())) > LONGEST_NAME:
        raise UsageError(
            f"table '{tables[0]}' must have a name of 1 to {LONGEST_NAME} bytes without a percent sign; choose another "
            "?table=NAME"
        )
    rest = urlencode([(key, value) for key, value in query if key != "table"], safe="/")
    url = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return DatabaseTable(f"{url}?{rest}" if rest else url, schema or "public", name)


def without_password(line: str) -> str:
    """Replaces passwords in database URLs by ***, so that a line of text can be shown."""
    return _SECRET.sub(lambda found: f"{found[1] or found[2]}***", line)
