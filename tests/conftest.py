"""Fixtures: small scenes, a model, and the real data where it is at hand."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio
from hypothesis import settings
from support.commands import Outcome, Run
from support.postgis_server import Server, running_server
from support.scenes import UTM, damaged_scene, noise, write_scene
from support.untrained import make_untrained_model

from lcageo.cli import app
from lcageo.scene import prefetch

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("LCAGEO_DATA", REPOSITORY.parent / "shared" / "data"))

# Two shared cores are no place for deadlines; CI must not fail by the luck of the draw.
settings.register_profile("lcageo", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("lcageo")


ORDER = os.environ.get("LCAGEO_TEST_ORDER", "")
"""A number that shuffles the files, and the tests of each; empty: the usual order."""


def pytest_report_header() -> str:
    return f"order of tests: LCAGEO_TEST_ORDER={ORDER or ' (the usual one)'}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if ORDER:
        places = {item: random.Random(f"{ORDER} {item.nodeid}").random() for item in items}
        files = {item.path: random.Random(f"{ORDER} {item.path.name}").random() for item in items}
        items.sort(key=lambda item: (files[item.path], str(item.path), places[item]))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, also for the commands that they run."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("LCAGEO_CACHE")
    os.environ["LCAGEO_CACHE"] = str(folder)
    yield folder
    del os.environ["LCAGEO_CACHE"]
    if before is not None:
        os.environ["LCAGEO_CACHE"] = before


@pytest.fixture(scope="session")
def real_scenes() -> list[Path]:
    """Real GeoTIFF scenes; skips where they are absent."""
    scenes = sorted((DATA / "scenes").glob("*.tif"))
    if not scenes:
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no scenes in {DATA / 'scenes'}; name their folder with LCAGEO_DATA")
    return scenes


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a seeded, untrained model with tiles of 256 pixels."""
    return make_untrained_model(tmp_path_factory.mktemp("untrained"), tile_size=256)


@pytest.fixture(scope="session")
def postgis() -> Iterator[Server]:
    """A PostgreSQL server of the tests' own, with PostGIS; skips where Debian's packages are absent."""
    with running_server() as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB, a real one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("SKIPPED FOR LACK OF RIGHTS: a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `lcageo` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back what main() changes
    monkeypatch.setattr(app.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(app, "at_second_signal", lambda end: None)  # it would end the tests

    def run_with(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["lcageo", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err or "--debug" in arguments
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run_with


@pytest.fixture
def survey(tmp_path: Path, run: Run, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of four scenes: one to the east of another, one with a hole, one that is no raster."""
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    (tmp_path / "flight" / "later").mkdir(parents=True)
    write_scene(tmp_path / "flight" / "a #1.tif", noise(200, 300))
    east = rasterio.Affine.translation(200, 0) @ UTM
    write_scene(tmp_path / "flight" / "later" / "b.tif", noise(200, 300, seed=1), transform=east)
    damaged_scene(tmp_path / "flight" / "torn.tif", [0])
    (tmp_path / "flight" / "broken.tif").write_bytes(b"II*\0junk")
    outcome = run("batch", "flight", "--out", "out", "--recursive", "--holes", "--model", untrained, "--score", 0.02)
    assert outcome.code == 3, outcome.err
    return tmp_path / "out"
