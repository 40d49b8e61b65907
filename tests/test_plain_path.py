"""Layers under names that pyogrio, GDAL, SQLite and pyarrow would take for something else."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from support.layers import RECORD, layer_at, write_layer
from support.names import NAMES

from lcageo.vector.formats import FORMATS
from lcageo.vector.geopackage import append_layer
from lcageo.vector.publish import Publication
from lcageo.vector.read import open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=15)
@given(folder=NAMES, name=NAMES)
@example(folder="site!A", name="b!c")
@example(folder="http:", name="a;b")
@example(folder="file:", name="x?mode=memory")
def test_layers_come_back_from_where_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, folder: str, name: str
) -> None:
    home = tmp_path_factory.mktemp("names")
    (home / folder).mkdir()
    before = Path.cwd()
    os.chdir(home)
    try:
        for path in (Path(folder, name + suffix), Path(name + suffix)):  # relative: a prefix could be a scheme
            write_layer(layer_at("utm"), RECORD, path)
            assert len(open_layer(path, "").read()) == len(layer_at("utm"))
            assert path.is_file()
        assert all(file.name.startswith(name) for file in Path(folder).iterdir())
        beside = {file.name for file in Path().iterdir()} - {folder}
        assert beside == {file.name for file in Path(folder).iterdir()}
    finally:
        os.chdir(before)


@pytest.mark.parametrize("name", ["b!c", "a;b", "site!A/x"])
def test_layers_are_appended_to_where_they_are(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.gpkg"
    path.parent.mkdir(exist_ok=True)
    write_layer(layer_at("utm"), RECORD, path)
    with Publication() as publication:
        append_layer([layer_at("utm")], RunRecord.from_json({"run": "2"}), FileTarget.of(path), publication)
        publication.publish()
    layer = open_layer(path, "")
    assert len(layer.read()) == 2 * len(layer_at("utm")) and layer.layer == path.stem
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_a_layer_inside_an_archive_is_still_found(tmp_path: Path) -> None:
    write_layer(layer_at("utm"), RECORD, tmp_path / "a.gpkg")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.gpkg", "a.gpkg")
    inside = Path("/vsizip", f"{{{tmp_path}/a.zip}}", "a.gpkg")  # GDAL's braces: a Path has no double slash
    assert len(open_layer(inside, "").read()) == len(layer_at("utm"))
