"""A PostGIS table as a place for results, as a user names it. Loads nothing that writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from lcageo.errors import UsageError

SCHEMES = ("postgresql", "postgres")
"""As libpq has them."""
LONGEST_NAME = 50
"""Bytes: PostgreSQL's names have 63, and the index on the geometry has that of the table and thirteen more."""
_SECRET = re.compile(r"(postgres(?:ql)?:/+[^\s:/@]*:)[^\s]*(?=@)|(password=)[^\s&'\"]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DatabaseTable:
    """A table of a PostGIS database, there or not. As text it has no password."""

    url: str = field(repr=False)
    """As libpq takes it, with the password that the user gave."""
    schema: str
    name: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        query = [(key, value) for key, value in parse_qsl(parts.query) if key != "password"]
        query.append(("table", self.name if self.schema == "public" else f"{self.schema}.{self.name}"))
        return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}?{urlencode(query, safe='/')}"


def is_database(text: str) -> bool:
    """Whether a text is a database's address, perhaps one that was taken for a path, which has only one slash."""
    return text.lower().startswith(tuple(f"{scheme}:/" for scheme in SCHEMES))


def parse_table(text: str) -> DatabaseTable:
    """'postgresql://user@host/db?table=NAME' (or SCHEMA.NAME) as a table.

    Raises:
        UsageError: if a database is named without a table, or with one that cannot be.
    """
    parts = urlsplit(text)
    query = parse_qsl(parts.query)
    tables = [value for key, value in query if key == "table"]
    if len(tables) != 1:
        raise UsageError(f"output '{without_password(text)}' must name one table; give it as ?table=NAME at the end")
    schema, _, name = tables[0].rpartition(".")
    # geopandas doubles a per cent sign where it copies the rows.
    if not name or "%" in tables[0] or max(len(name.encode()), len(schema.encode())) > LONGEST_NAME:
        raise UsageError(
            f"table '{tables[0]}' is no name of 1 to {LONGEST_NAME} bytes without a per cent sign; give another "
            "?table=NAME"
        )
    rest = urlencode([(key, value) for key, value in query if key != "table"], safe="/")
    url = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return DatabaseTable(f"{url}?{rest}" if rest else url, schema or "public", name)


def without_password(line: str) -> str:
    """A line of text as it may be shown: passwords in database addresses become ***."""
    return _SECRET.sub(lambda found: f"{found[1] or found[2]}***", line)
