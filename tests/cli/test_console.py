from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scenes import noise, write_scene

from lcageo.cli import console
from lcageo.cli.console import Console, raise_incomplete
from lcageo.errors import PartialResultError, SceneError
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


@pytest.mark.skipif(sys.platform == "win32", reason="closes streams by a shell")
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_missing_standard_streams_change_nothing(untrained: Path, tmp_path: Path, closed: str) -> None:
    write_scene(tmp_path / "scene.tif", noise(128, 128))
    command = f"{sys.executable} -m lcageo detect scene.tif --model {untrained} --score 0.02 -o"
    for name, streams in (("whole", ""), ("quiet", closed)):
        done = subprocess.run(
            f"{command} {name}.geojson --quicklook {name}.png {streams}", shell=True, cwd=tmp_path, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout in (f"{name}.geojson\n{name}.png\n".encode(), b"")  # no messages among the data
    same = [(tmp_path / f"{name}.png").read_bytes() for name in ("whole", "quiet")]
    assert same[0] == same[1]
    found = [json.loads((tmp_path / f"{name}.geojson").read_text())["features"] for name in ("whole", "quiet")]
    assert found[0] == found[1]
    failed = subprocess.run(
        f"{sys.executable} -m lcageo info none.tif {closed}", shell=True, cwd=tmp_path, capture_output=True
    )
    assert failed.returncode == 1 and b"Traceback" not in failed.stderr


def test_a_python_process_without_streams_detects(untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(128, 128), crs=None, transform=None)  # warns
    program = (
        "import sys; sys.stdin = sys.stdout = sys.stderr = None\n"  # as pythonw does
        f"import lcageo; found = lcageo.detect('scene.tif', model={str(untrained)!r}, score=0.02)\n"
        "open('count', 'w').write(str(len(found)))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert int((tmp_path / "count").read_text()) > 0


@pytest.mark.parametrize(
    ("scenes", "failed", "partly", "message"),
    [
        (
            3,
            ["a: bad"],
            ["b: hole"],
            "1 of 3 scenes failed and parts of 1 scene are missing from the result:\n  a: bad\n  b: hole",
        ),
        (3, ["a: bad"], [], "1 of 3 scenes failed:\n  a: bad"),
        (3, [], ["b", "c"], "parts of 2 scenes are missing from the result:\n  b\n  c"),
        (1, [], ["b: hole"], "parts are missing from the result:\n  b: hole"),
    ],
)
def test_the_error_of_several_scenes_counts_what_failed_and_what_has_holes(
    scenes: int, failed: list[str], partly: list[str], message: str
) -> None:
    with pytest.raises(PartialResultError) as raised:
        raise_incomplete(scenes, failed, partly)
    assert str(raised.value) == message
    raise_incomplete(scenes, [], [])  # nothing is missing
    with pytest.raises(SceneError, match="no scene succeeded:\n  a\n  b"):
        raise_incomplete(2, ["a", "b"], [])
