"""Names that file systems allow and libraries take for something else."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import shapely
from hypothesis import given, settings
from support.commands import Run
from support.names import NAMES
from support.scenes import noise, write_scene

from lcageo.database import Database
from lcageo.journal.journal import journal_path
from lcageo.paths import LONGEST_NAME, expanded, is_possible, make_durable, on_disk
from lcageo.scene.raster import open_scene
from lcageo.vector.read import open_layer

AWKWARD = ("b!c", "a;b", "a?b#c%41", "file:a", "GPKG:a", "zip:a!b", "s3:a", "a:b", "[a-b]*", "memory:", "{a}", "a\nb")


@settings(max_examples=30)
@given(folder=NAMES, name=NAMES)
def test_scenes_and_journals_are_where_they_are_named(
    tmp_path_factory: pytest.TempPathFactory, folder: str, name: str
) -> None:
    home = tmp_path_factory.mktemp("names")
    (home / folder).mkdir()
    before = Path.cwd()
    os.chdir(home)
    try:
        pixels = noise(8, 8)
        write_scene(Path(folder, "plain.tif").absolute(), pixels)
        Path(folder, "plain.tif").rename(Path(folder, f"{name}.tif"))
        with open_scene(f"{folder}/{name}.tif") as scene:
            assert (scene.read(0, 0, 8, 8, 8, 8)[0] == pixels).all()
        journal = journal_path(Path(folder, name))
        Database("journal", journal).close()
        assert journal.is_file() and {file.name for file in Path().iterdir()} == {folder}
    finally:
        os.chdir(before)


@pytest.mark.parametrize("name", AWKWARD)
def test_detect_reads_and_writes_exactly_the_files_it_is_given(
    run: Run, untrained: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / f"site {name}"
    folder.mkdir()
    write_scene(tmp_path / "plain.tif", noise(128, 128)).rename(folder / f"{name}.tif")
    for other in ("c", "b", "a"):  # what a part of the name could be taken for
        layer = geopandas.GeoDataFrame({"precious": ["data"]}, geometry=[shapely.Point(1, 1)], crs=4326)
        layer.to_file(tmp_path / f"{other}.gpkg", layer=other)
        shutil.copy(tmp_path / f"{other}.gpkg", folder)
    area = geopandas.GeoDataFrame(geometry=[shapely.box(500_000, 4_999_930, 500_060, 5_000_000)], crs=32633)
    area.to_file(tmp_path / "area.gpkg")
    (tmp_path / "area.gpkg").rename(folder / f"{name} area.gpkg")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.gpkg")}
    scene, out, area_file = (str(folder / f"{name}{end}").removeprefix(f"{tmp_path}/")
                             for end in (".tif", ".out.gpkg", " area.gpkg"))  # fmt: skip
    outcome = run("detect", scene, "-o", out, "--aoi", area_file, "--model", untrained, "--score", "0.02")
    assert outcome.code == 0, outcome.err
    assert len(open_layer(tmp_path / out, "").read()) > 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.gpkg") if path != tmp_path / out} == before


def test_only_existing_files_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("http:").mkdir()
    Path("http:/a.tif").touch()
    assert on_disk("http://a.tif") == tmp_path / "http:" / "a.tif"
    for name in ("https://a.tif", "/vsimem/a.tif", "a" * 300, "a\0b", "b.tif"):
        assert on_disk(name) is None


def test_a_name_may_be_as_long_as_a_file_system_allows(tmp_path: Path) -> None:
    for letters in (LONGEST_NAME, LONGEST_NAME + 1):
        path = tmp_path / ("x" * letters)
        if is_possible(path):
            path.touch()
        else:
            with pytest.raises(OSError, match="too long"):
                path.touch()
    assert not is_possible(tmp_path / ("\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 128))


def test_a_file_is_on_the_disk_or_why_not_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"1")
    make_durable(tmp_path / "a")

    def fails(number: int) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:
            raise OSError(number, "no")

        return fsync

    monkeypatch.setattr(os, "fsync", fails(errno.EINVAL))  # a file system that cannot say
    make_durable(tmp_path / "a")
    monkeypatch.setattr(os, "fsync", fails(errno.ENOSPC))
    with pytest.raises(OSError, match="no"):
        make_durable(tmp_path / "a")


def test_patterns_are_expanded_where_no_shell_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.tif", "a.tif", "x[1].tif", "x1.tif"):
        (tmp_path / name).touch()
    names = ["?.tif", "none*.tif", "x[1].tif", "https://host/*.tif", str(tmp_path / "b*")]
    assert expanded(names, by_us=True) == ["a.tif", "b.tif", *names[1:4], str(tmp_path / "b.tif")]
    assert expanded(names, by_us=False) == names
