"""Results appear together and complete, and nothing is replaced without being asked."""

from __future__ import annotations

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
from lcageo.vector.publish import Publication, check_output
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
