"""Paths and tables as targets: suffixes, companion files and layer names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.layers import RECORD, layer_at, write_layer
from support.readers import read_layer

from lcageo.errors import UsageError
from lcageo.vector.formats import FORMATS
from lcageo.vector.target import FileTarget, check_target, parse_output


@pytest.mark.parametrize("stem", ["<b>a", "(1) copy", "+x", "gpkg-of-may", "SQLite_x", "layer_styles", "ü b'c", "1a"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_any_file_name_will_do(tmp_path: Path, stem: str, suffix: str) -> None:
    path = tmp_path / f"{stem}{suffix}"
    write_layer(layer_at("utm"), RECORD, path)
    assert len(read_layer(path).rows) == 3
    if suffix == ".gpkg":
        with closing(sqlite3.connect(path)) as base:
            (named,) = base.execute("SELECT table_name FROM gpkg_geometry_columns")
            assert base.execute("SELECT f_table_name FROM layer_styles").fetchall() == [named]
        assert named[0] in (stem, f"_{stem}") and (named[0] == stem) is stem.startswith(("ü", "1"))


def test_label_files_are_not_map_layers() -> None:
    with pytest.raises(UsageError, match="would hold boxes in pixels, but a map layer is required"):
        FileTarget.of_layer(Path("holes.coco.json"))
    with pytest.raises(UsageError, match=r"no known suffix; use one of .* \.yolo\.txt"):
        FileTarget.of(Path("found.json"))


def test_an_unknown_suffix_is_refused_and_capitals_are_not() -> None:
    with pytest.raises(UsageError, match=r"'found\.xyz' has no known suffix; use one of \.geojson"):
        FileTarget.of(Path("found.xyz"))
    assert FileTarget.of(Path("A/Found.GPKG")).path == Path("A/Found.gpkg")


def test_a_target_knows_its_files_and_removes_them(tmp_path: Path) -> None:
    shapefile = FileTarget.of(tmp_path / "found.shp")
    write_layer(layer_at("utm"), RECORD, shapefile.path)
    (tmp_path / "other.csv").touch()
    written = {path.name for path in tmp_path.iterdir()} - {"other.csv"}
    assert written <= {path.name for path in (*shapefile.files, shapefile.style)} and "found.shp.json" in written
    shapefile.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["other.csv"]


@pytest.mark.parametrize("suffix", [".gpkg", ".shp"])
@pytest.mark.parametrize("exists", [True, False])
def test_what_a_link_leads_to_is_written(tmp_path: Path, suffix: str, exists: bool) -> None:
    """A new file in the place of the link would leave the old one to all who read it under its own name."""
    real, link = tmp_path / "store" / f"real{suffix}", tmp_path / f"latest{suffix}"
    real.parent.mkdir()
    if exists:
        write_layer(layer_at("utm")[:1], RECORD, real)
    link.symlink_to(real)
    if exists:
        with pytest.raises(UsageError, match=r"real\.[a-z]+' exists; use --overwrite"):
            FileTarget.of(link).check()
    write_layer(layer_at("utm"), RECORD, link)
    assert link.is_symlink() and len(read_layer(real).rows) == 3
    assert {path.stem.partition(".")[0] for path in tmp_path.iterdir()} == {"store", "latest"}
    assert link.name in {path.name for path in tmp_path.iterdir()} and len(list(tmp_path.iterdir())) == 2


def test_a_link_to_itself_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "a.gpkg"
    link.symlink_to(link)
    assert FileTarget.of(link).path == link


@pytest.mark.parametrize("suffix", FORMATS)
def test_only_geopackages_can_be_appended_to(tmp_path: Path, suffix: str) -> None:
    target = FileTarget.of(tmp_path / f"found{suffix}")
    target.path.touch()
    with pytest.raises(UsageError, match="exists; use --overwrite"):
        check_target(target)
    check_target(target, overwrite=True)
    if suffix == ".gpkg":
        check_target(target, append=True)
    else:
        with pytest.raises(UsageError, match=r"--append adds to \.gpkg files and PostGIS tables, not to"):
            check_target(target, append=True)


@pytest.mark.parametrize("text", ["found.gpkg", "folder", "/vsizip/a.zip", "postgresql.gpkg"])
def test_everything_else_is_a_path(text: str) -> None:
    assert parse_output(text) == Path(text)
