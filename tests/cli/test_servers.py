"""Scenes on servers: signed URLs leave no trace in what is written or told, and nothing waits for ever."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Run
from support.scenes import noise, write_scene
from support.servers import served

from lcageo.scene.servers import faults

SECRET = "S3cr3tS1gnature"
UNSAMPLED = ("--edge-nodata", "none")
"""Otherwise a small scene is read as a whole before its first tile, and GDAL keeps that."""
FORMATS = ("gpkg", "geojson", "shp", "fgb", "parquet", "csv", "coco.json", "yolo.txt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a server, apart from the current one."""
    monkeypatch.setattr(faults, "PAUSES_S", (0.05, 0.1))
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    shared = tmp_path / "shared"
    shared.mkdir()
    write_scene(shared / "a.tif", noise(600, 600), tiled=True, blockxsize=64, blockysize=64)
    return shared


def traces(folder: Path) -> list[Path]:
    """Files with the secret in their names or contents."""
    return [
        path
        for path in folder.rglob("*")
        if SECRET in path.name or (path.is_file() and SECRET.encode() in path.read_bytes())
    ]


def test_a_signed_url_leaves_no_trace(run: Run, folder: Path, untrained: Path, tmp_path: Path) -> None:
    outputs = [part for suffix in FORMATS for part in ("-o", f"found.{suffix}")]
    with served(folder) as files:
        url = files.url(f"a.tif?sig={SECRET}").replace("//", f"//me:{SECRET}@")
        outcome = run("detect", url, "--model", untrained, "--score", "0.02", *outputs, "--quicklook", "a.png",
                      "--holes", "holes.gpkg", "--review", "review.gpkg", "--json", "-v")  # fmt: skip
        assert outcome.code == 0, outcome.err
        assert (tmp_path / "found.gpkg").exists() and "a.tif" in outcome.out
        told = [outcome, run("info", url), run("info", url, "--json"), run("detect", url, "--dry-run"),
                run("report", url, "found.gpkg", "-o", "page.html"), run("detect", url, "--bands", "9"),
                run("detect", url, url, "-o", "b.gpkg"), run("info", files.url(f"none.tif?sig={SECRET}"))]  # fmt: skip
    assert [one.code for one in told] == [0, 0, 0, 0, 0, 2, 2, 1], [one.err for one in told]
    assert not [one for one in told if SECRET in one.out + one.err]
    files.log.unlink()
    assert traces(tmp_path) == []


def test_so_does_a_survey_which_is_up_to_date_with_a_new_signature(
    run: Run, folder: Path, untrained: Path, tmp_path: Path
) -> None:
    write_scene(folder / "b.tif", noise(300, 300, seed=2))
    with served(folder) as files:
        for number, done in (("1", 0), ("2", 2)):
            (tmp_path / "list.txt").write_text(
                "\n".join(files.url(f"{name}.tif?X-Amz-Expires=9&X-Amz-Signature={SECRET}{number}") for name in "ab")
            )
            outcome = run("batch", "list.txt", "--out", "found", "--model", untrained, "--quicklooks", "--review")
            assert outcome.code == 0, outcome.err
            assert f"2 scenes, {done} of them up to date" in outcome.err
            assert SECRET not in outcome.out + outcome.err
    assert sorted(path.name for path in (tmp_path / "found" / "scenes").iterdir()) == ["a.gpkg", "b.gpkg"]
    assert traces(tmp_path / "found") == []


def test_two_objects_of_one_address_are_two_scenes(run: Run, folder: Path, untrained: Path, tmp_path: Path) -> None:
    with served(folder) as files:
        (tmp_path / "list.txt").write_text("\n".join(files.url(f"a.tif?id={number}") for number in range(2)))
        outcome = run("batch", "list.txt", "--out", "found", "--model", untrained)
    assert outcome.code == 0 and "2 scenes, 0 of them up to date" in outcome.err
    assert len(list((tmp_path / "found" / "scenes").iterdir())) == 2


def test_an_outage_ends_the_run_which_resumes_with_a_new_signature(
    run: Run, folder: Path, untrained: Path, tmp_path: Path
) -> None:
    # The uppermost tiles come with the header, in the first 256 kB; everything else fails.
    write_scene(folder / "a.tif", noise(1200, 300), tiled=True, blockxsize=64, blockysize=64, interleave="pixel")
    command = ("--model", untrained, "--batch", "1", "-o", "found.gpkg", *UNSAMPLED)
    with served(folder, "unavailable", good=1) as files:
        port = files.port
        outcome = run("detect", files.url(f"a.tif?sig={SECRET}1"), *command)
    assert outcome.code == 1 and "the server answers 503 Service Unavailable" in outcome.err
    assert "damaged" not in outcome.err and not (tmp_path / "found.gpkg").exists()
    (journal,) = tmp_path.glob(".found*journal")
    with closing(sqlite3.connect(journal)) as database:
        ((done,),) = database.execute("SELECT SUM(LENGTH(tiles)) / 8 FROM batches").fetchall()
        assert done > 0
    assert SECRET.encode() not in journal.read_bytes()
    with served(folder, port=port) as files:
        outcome = run("detect", files.url(f"a.tif?sig={SECRET}2"), *command)
    assert outcome.code == 0 and f"resumes after {done} of" in outcome.err
    assert traces(tmp_path) == [] or traces(tmp_path) == list(folder.glob("*.log"))


@pytest.mark.slow
@pytest.mark.parametrize("good", [0, 1], ids=["while it is opened", "while it is read"])
def test_the_second_signal_ends_what_waits_for_a_server(
    folder: Path, untrained: Path, tmp_path: Path, good: int
) -> None:
    environment = {**os.environ, "GDAL_HTTP_LOW_SPEED_TIME": "60"}
    with served(folder, "stall", good=good) as files:
        command = [sys.executable, "-m", "lcageo", "detect", files.url("a.tif"), "--model", str(untrained), *UNSAMPLED]
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
        while len(files.requests()) <= good and run.poll() is None:
            time.sleep(0.1)
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, told = run.communicate(timeout=30)
    assert run.returncode == 130 and time.monotonic() - started < 10
    assert "stopped" in told and "Traceback" not in told


@pytest.mark.slow
def test_a_stalled_server_ends_in_an_error(folder: Path, untrained: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "GDAL_HTTP_LOW_SPEED_TIME": "1"}
    with served(folder, "stall", good=1) as files:
        command = [sys.executable, "-m", "lcageo", "detect", files.url("a.tif"), "--model", str(untrained), *UNSAMPLED]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert run.returncode == 1 and "the server does not answer in time" in run.stderr
