from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.cli import console
from lcageo.cli.console import Console
from lcageo.runtime.catalog import find_card


@pytest.mark.parametrize(
    ("say", "shown"),
    [
        (Console(), ["note", "warning: warn"]),
        (Console(verbose=True), ["note", "detail", "warning: warn"]),
        (Console(quiet=True), ["warning: warn"]),
        (Console(quiet=True, verbose=True), ["warning: warn"]),
    ],
)
def test_quiet_and_verbose_decide_what_is_shown(
    say: Console, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    say.note("note")
    say.detail("detail")
    say.warn("warn")
    captured = capsys.readouterr()
    assert captured.err.splitlines() == shown and captured.out == ""


def test_only_data_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    console.data("a.gpkg")
    console.error("no such file")
    console.stopped("stopped")
    captured = capsys.readouterr()
    assert captured.out == "a.gpkg\n" and captured.err == "error: no such file\nstopped\n"


def test_no_message_shows_the_password_of_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    address = "postgresql://me:secret@host/db?table=ships"
    for show in (console.error, console.trace, Console().warn):
        show(f"'{address}' is not a scene")
        shown = capsys.readouterr().err
        assert "secret" not in shown and "me:***@host/db" in shown


def test_a_verbose_command_always_shows_the_restriction_and_a_quiet_one_never(
    capsys: pytest.CaptureFixture[str],
) -> None:
    card = find_card("lca-s")
    for _ in range(2):
        Console(verbose=True).restriction(card)
        assert card.restriction in capsys.readouterr().err
    Console(quiet=True).restriction(card)
    assert capsys.readouterr().err == ""


@given(st.lists(st.tuples(*[st.text("abc,1", min_size=1, max_size=9)] * 3), min_size=1))
def test_columns_are_aligned(rows: list[tuple[str, ...]]) -> None:
    lines = console.table(rows).split("\n")
    assert len({len(line) for line in lines}) == 1
    assert [tuple(line.split()) for line in lines] == rows
    first = max(len(row[0]) for row in rows)
    assert all(line[:first].strip() == row[0] == line[: len(row[0])] for line, row in zip(lines, rows, strict=True))
