"""URLs of tables: parsing what a user writes, without ever showing a password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.errors import UsageError
from lcageo.vector.database_table import DatabaseTable, without_password
from lcageo.vector.target import parse_output


@pytest.mark.parametrize(
    ("text", "schema", "name", "shown"),
    [
        (
            "postgresql://ann:pw@host:5433/gis?table=ships",
            "public",
            "ships",
            "postgresql://ann@host:5433/gis?table=ships",
        ),
        ("postgres://host/gis?table=survey.ships", "survey", "ships", "postgres://host/gis?table=survey.ships"),
        (
            "postgresql:///gis?host=/run/pg&table=a%20b&password=pw",
            "public",
            "a b",
            "postgresql:///gis?host=/run/pg&table=a+b",
        ),
    ],
)
def test_addresses_are_libpqs_with_a_table(text: str, schema: str, name: str, shown: str) -> None:
    table = parse_output(text)
    assert isinstance(table, DatabaseTable)
    assert (table.schema, table.name, str(table)) == (schema, name, shown)
    assert "table=" not in table.url and ":pw" not in repr(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://ann:pw@host/gis", "must name one table"),
        ("postgresql://ann:pw@host/gis?table=a&table=b", "must name one table"),
        ("postgresql://ann:pw@host/gis?table=", r"must name one table|must have a name"),
        ("postgresql://ann:pw@host/gis?table=" + "x" * 51, "must have a name of 1 to 50 bytes"),
        ("postgresql://ann:pw@host/gis?table=all%25", "without a percent sign"),
    ],
)
def test_a_database_without_a_table_is_refused_without_showing_the_password(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parse_output(text)
    assert "pw" not in str(refused.value)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=6))
def test_no_password_is_shown(word: str) -> None:
    secret = quote(f"~{word}~", safe="")
    for address in (
        f"postgresql://ann:{secret}@host/gis?table=t",
        f"postgres://host/gis?password={secret}&table=t",
        f"postgresql:/ann:{secret}@host/gis?table=t",
    ):
        assert secret not in without_password(f"cannot open '{address}'; check")
        assert secret not in str(parse_output(address.replace(":/a", "://a")))
