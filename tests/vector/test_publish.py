"""Results appear together and complete, and nothing is replaced without being asked."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pyproj
import pytest
from support.layers import CLASSES, FOUND, LOCAL_WKT, PLACES, RECORD, layer_at, write_layer
from support.readers import read_layer

from lcageo.errors import OutputError, UsageError
from lcageo.scene.georef import Georeference
from lcageo.vector import write as vector
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS
from lcageo.vector.publish import Publication, check_output, remove_abandoned
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget


def test_an_older_file_is_replaced_completely(tmp_path: Path) -> None:
    for suffix in FORMATS:
        path = tmp_path / f"found{suffix}"
        write_layer(layer_at("utm"), RECORD, path)
        write_layer(layer_at("utm", FOUND.selected(np.array([1]))), RECORD, path)
        assert len(read_layer(path).rows) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_older_shapefiles_index_is_removed_with_it(tmp_path: Path) -> None:
    write_layer(layer_at("utm"), RECORD, tmp_path / "found.shp")
    (tmp_path / "found.qix").touch()
    pixels = features(FOUND, CLASSES, Georeference(None).to_map, None, "s")
    write_layer(pixels, RECORD, tmp_path / "found.shp")
    assert not (tmp_path / "found.qix").exists() and not (tmp_path / "found.prj").exists()


def test_several_outputs_appear_together_or_not_at_all(tmp_path: Path) -> None:
    crs = pyproj.CRS.from_wkt(LOCAL_WKT)
    layer = features(FOUND, CLASSES, Georeference(crs, PLACES["utm"][1]).to_map, crs, "s")
    with pytest.raises(OutputError), Publication() as publication:
        for name in ("found.gpkg", "found.geojson"):
            vector.write_layer(
                [layer], RunRecord.from_json(RECORD), publication.draft_of(FileTarget.of(tmp_path / name))
            )
        publication.publish()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot be written"), Publication() as publication:
        publication.draft(tmp_path / "none" / "found.gpkg")


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "found.gpkg"
    write_layer(layer_at("utm"), RECORD, path)
    before = path.read_bytes()

    def fails(draft: Path, driver: str, count: int) -> None:
        assert draft.exists()
        raise OSError("No space left on device")

    monkeypatch.setattr(vector, "check_complete", fails)
    with pytest.raises(OutputError, match=r"cannot be written: No space left .* disk full"):
        write_layer(layer_at("utm"), RECORD, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_no_companion_of_a_layer_is_replaced_without_overwrite(tmp_path: Path) -> None:
    for name in ("found.dbf", "found.csv.json"):
        (tmp_path / name).write_text("precious")
    for suffix in (".shp", ".csv"):
        with pytest.raises(UsageError, match=r"found\..* exists; use --overwrite"):
            check_output(tmp_path / f"found{suffix}", FileTarget.of(tmp_path / f"found{suffix}").files, overwrite=False)


def test_outputs_that_could_not_be_written_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "there.gpkg").touch()
    there, missing = tmp_path / "there.gpkg", tmp_path / "none" / "found.gpkg"
    with pytest.raises(UsageError, match="exists; use --overwrite"):
        check_output(there, [there], overwrite=False)
    check_output(there, [there], overwrite=True)
    with pytest.raises(OutputError, match="does not exist; create it"):
        check_output(missing, [missing], overwrite=False)
    check_output(missing, [missing], overwrite=False, folder_is_made=True)


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(OutputError, match="cannot be written to"):
        check_output(tmp_path / "found.gpkg", [], overwrite=False)


KILLED = """
import os, sys
from pathlib import Path
from lcageo.vector.publish import Publication
publication = Publication().__enter__()
publication.draft(Path(sys.argv[1])).write_text("half")
print("ready", flush=True)
sys.stdin.read()
"""


def started(code: str, path: Path) -> subprocess.Popen[str]:
    """A process that has run some code for a path, up to the line that says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def writing(path: Path) -> subprocess.Popen[str]:
    """A process that is writing a draft."""
    return started(KILLED, path)


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".found.fgb-notes").mkdir()  # a user's own
    killed(writing(tmp_path / "found.fgb"))
    assert len(list(tmp_path.iterdir())) == 2
    with Publication() as publication:
        publication.draft(tmp_path / "found.fgb").write_text("whole")
        publication.publish()
    assert {path.name for path in tmp_path.iterdir()} == {"found.fgb", ".found.fgb-notes"}
    killed(writing(tmp_path / "other.fgb"))
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"found.fgb", ".found.fgb-notes"}


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    other = writing(tmp_path / "found.fgb")
    before = set(tmp_path.rglob("*"))
    remove_abandoned(tmp_path)
    with (
        pytest.raises(UsageError, match=r"another process is writing '.*found\.fgb'; wait"),
        Publication() as publication,
    ):
        publication.draft(tmp_path / "found.fgb")
    assert set(tmp_path.rglob("*")) == before
    killed(other)


def test_a_move_that_fails_takes_the_others_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, suffix in (("first", ".shp"), ("last", ".gpkg")):
        write_layer(layer_at("utm"), RECORD, tmp_path / f"{name}{suffix}")
    (tmp_path / "first.qix").write_text("index")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target.name == "last.gpkg" and "draft" in self.parent.name:
            raise PermissionError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    one = features(FOUND.selected(np.array([1])), CLASSES, Georeference(None).to_map, None, "s")
    with (
        pytest.raises(OutputError, match=r"last\.gpkg' cannot be moved into place: Permission denied"),
        Publication() as publication,
    ):
        for name in ("first.shp", "new.geojson", "last.gpkg"):
            target = FileTarget.of(tmp_path / name)
            vector.write_layer([one], RunRecord.from_json(RECORD), publication.draft_of(target))
        publication.publish()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


HOLDING = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
base.execute("PRAGMA journal_mode = WAL")
base.execute("PRAGMA wal_autocheckpoint = 0")
base.execute("CREATE TABLE notes (t TEXT)")
base.executemany("INSERT INTO notes VALUES (?)", [("x" * 300,)] * 400)
base.commit()
print("ready", flush=True)
sys.stdin.read()
"""


def holding(path: Path) -> subprocess.Popen[str]:
    """A process that has a GeoPackage open, with pages beside it, as QGIS does."""
    return started(HOLDING, path)


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as base:
        tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
        return base.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and "notes" not in tables


def test_a_geopackage_whose_program_was_killed_is_replaced_with_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "found.gpkg"
    write_layer(layer_at("utm"), RECORD, path)
    killed(holding(path))
    assert (tmp_path / "found.gpkg-wal").stat().st_size > 0
    write_layer(layer_at("utm"), RECORD, path)
    assert is_sound(path) and list(tmp_path.iterdir()) == [path]


def test_pages_that_have_lost_their_geopackage_get_into_no_other(tmp_path: Path) -> None:
    path = tmp_path / "found.gpkg"
    write_layer(layer_at("utm"), RECORD, path)
    killed(holding(path))
    path.unlink()
    with pytest.raises(UsageError, match=r"found\.gpkg-(wal|shm)' exists; use --overwrite"):
        FileTarget.of(path).check()
    write_layer(layer_at("utm"), RECORD, path)
    assert is_sound(path) and list(tmp_path.iterdir()) == [path]


def test_a_hot_journal_is_not_replayed_into_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "found.gpkg"
    write_layer(layer_at("utm"), RECORD, path)
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA cache_size = 1")
        base.execute("CREATE TABLE notes (t TEXT)")
        base.commit()
        base.executemany("INSERT INTO notes VALUES (?)", [("x" * 300,)] * 400)  # spills to the file
        shutil.copy(path, tmp_path / "copy.gpkg")
        shutil.copy(f"{path}-journal", tmp_path / "copy.gpkg-journal")
    path.unlink()
    write_layer(layer_at("utm"), RECORD, tmp_path / "copy.gpkg")
    assert is_sound(tmp_path / "copy.gpkg") and list(tmp_path.iterdir()) == [tmp_path / "copy.gpkg"]


def test_a_geopackage_that_is_open_elsewhere_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcageo.vector.publish.BUSY_S", 0.1)
    path = tmp_path / "found.gpkg"
    write_layer(layer_at("utm"), RECORD, path)
    program = holding(path)
    for attempt in (
        lambda: FileTarget.of(path).check(overwrite=True),
        lambda: write_layer(layer_at("utm"), RECORD, path),
    ):
        with pytest.raises(UsageError, match="is open in another program; close it there"):
            attempt()
    program.communicate("")  # ends properly
    assert not is_sound(path), "the notes are still there"
    write_layer(layer_at("utm"), RECORD, path)
    assert is_sound(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_belongs_to_an_older_layer_goes_with_it_and_all_else_stays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"found{suffix}"
    write_layer(layer_at("utm"), RECORD, path)
    of_shapefiles = ["found.qix", "found.sbn", "found.shp.xml", "found.idm"]
    own = {".shp": of_shapefiles, ".csv": ["found.csvt", "found.prj"]}.get(suffix, [])
    added = [f"found{suffix}.aux.xml", "found.qmd", *own]
    others = ["found-2.qix", "found.txt.bak", "found.aux.xml", "foun.prj", "found2.gpkg-wal"]
    for name in (*added, *others):
        (tmp_path / name).write_text("old")
    write_layer(layer_at("utm"), RECORD, path)
    left = {file.name for file in tmp_path.iterdir() if file.read_bytes() == b"old"}
    assert left == set(others)


def test_what_describes_any_layer_of_a_stem_stays_while_there_is_another(tmp_path: Path) -> None:
    for suffix in (".geojson", ".gpkg"):
        write_layer(layer_at("utm"), RECORD, tmp_path / f"found{suffix}")
    (tmp_path / "found.qmd").write_text("of either")
    write_layer(layer_at("utm"), RECORD, tmp_path / "found.geojson")
    assert (tmp_path / "found.qmd").exists()
    FileTarget.of(tmp_path / "found.gpkg").remove()
    FileTarget.of(tmp_path / "found.geojson").remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_links_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    test_a_move_that_fails_takes_the_others_back(tmp_path, monkeypatch)
