from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lcageo.database import Database, delete_database
from lcageo.errors import DamagedError, OutputError, UsageError

TABLE = "CREATE TABLE IF NOT EXISTS numbers (number INTEGER UNIQUE)"
INSERT = "INSERT INTO numbers VALUES (?)"


def numbers(database: Database) -> list[int]:
    return [number for (number,) in database.rows("SELECT number FROM numbers ORDER BY number")]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database("journal", tmp_path / "j")
    database.script(TABLE)
    return database


def test_rows_are_there_when_the_file_is_opened_again(database: Database, tmp_path: Path) -> None:
    database.change(INSERT, [(2,), (1,)])
    database.close()
    again = Database("journal", tmp_path / "j")
    assert numbers(again) == [1, 2] and next(again.rows("SELECT number FROM numbers WHERE number > ?", (1,))) == (2,)
    again.close()
    delete_database(tmp_path / "j")
    assert not list(tmp_path.iterdir())
    delete_database(tmp_path / "j")  # nothing to delete is no error


def test_a_change_is_written_completely_or_not_at_all(database: Database) -> None:
    database.change(INSERT, [(1,)])
    with pytest.raises(OutputError):
        database.change(INSERT, [(2,), (3,), (1,)])  # 1 is not unique
    assert numbers(database) == [1]
    with pytest.raises(KeyError), database.transaction() as connection:
        connection.execute(INSERT, (4,))
        raise KeyError
    assert numbers(database) == [1]
    database.close()


def test_only_one_process_at_a_time_can_use_it(database: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"another process is writing the same result .*wait for it"):
        Database("journal", tmp_path / "j")
    database.close()
    Database("journal", tmp_path / "j").close()


def test_a_killed_process_leaves_its_changes_and_no_lock(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from lcageo.database import Database
database = Database("journal", Path({str(tmp_path / "j")!r}))
database.script({TABLE!r})
database.change({INSERT!r}, [(1,), (2,)])
with database.transaction() as connection:
    connection.execute({INSERT!r}, (3,))
    print("ready", flush=True)
    input()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    database = Database("journal", tmp_path / "j")
    assert numbers(database) == [1, 2]
    database.close()


def test_a_damaged_file_is_named_with_the_option_that_replaces_it(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"no database at all" * 100)
    with pytest.raises(DamagedError, match=r"journal '.*/j' is damaged \(.*\); use --restart to start over"):
        Database("journal", tmp_path / "j")


def test_a_file_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"output folder '.*none' cannot be written to: no file"):
        Database("journal", tmp_path / "none" / "j")


def test_without_a_path_it_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = Database("journal")
    database.script(TABLE)
    database.change(INSERT, [(1,)])
    assert numbers(database) == [1] and not list(tmp_path.iterdir())
    database.close()
