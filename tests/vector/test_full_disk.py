"""A disk that is really full: a small tmpfs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio

from lcageo.detections import Detections
from lcageo.errors import OutputError
from lcageo.pictures.quicklook import draw_quicklook, save_quicklook
from lcageo.scene.georef import Georeference
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS
from lcageo.vector.publish import Publication
from lcageo.vector.record import RunRecord
from lcageo.vector.target import FileTarget
from lcageo.vector.write import write_layer


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_is_an_error_and_the_older_file_survives(small_disk: Path, suffix: str) -> None:
    count = 20_000
    corners = np.random.default_rng(0).uniform(0, 1000, (count, 2))
    boxes = np.concatenate([corners, corners + 10], axis=1)
    found = Detections(boxes, np.full(count, 0.5, np.float32), np.zeros(count, np.int64))
    reference = Georeference(pyproj.CRS(32633), rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000))
    layer = features(found, ["ship"], reference.to_map, reference.crs, "scene")
    path = small_disk / f"found{suffix}"
    with Publication() as publication:
        write_layer([layer.iloc[:1]], RunRecord(), publication.draft_of(FileTarget.of(path)))
        publication.publish()
    before = {file.name: file.read_bytes() for file in small_disk.iterdir()}
    with pytest.raises(OutputError, match=r"cannot be written: .* is the disk full"), Publication() as publication:
        write_layer([layer], RunRecord(), publication.draft_of(FileTarget.of(path)))
    assert {file.name: file.read_bytes() for file in small_disk.iterdir()} == before


def test_flatgeobuf_is_complete_or_refused_however_much_space_there_is(small_disk: Path, tmp_path: Path) -> None:
    boxes = np.array([[i * 10, 0, i * 10 + 5, 5] for i in range(200)], np.float64)
    found = Detections(boxes, np.full(200, 0.5, np.float32), np.zeros(200, np.int64))
    reference = Georeference(pyproj.CRS(32633), rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000))
    layer = features(found, ["ship"], reference.to_map, reference.crs, "scene")
    write_layer([layer], RunRecord(), FileTarget.of(tmp_path / "whole.fgb"))
    whole, disk, refused = (tmp_path / "whole.fgb").stat().st_size, os.statvfs(small_disk), 0
    for free in range(whole // disk.f_frsize, 2 * whole // disk.f_frsize + 4):  # GDAL first writes a temporary file
        (small_disk / "filler").write_bytes(bytes((disk.f_blocks - free) * disk.f_frsize))
        try:
            write_layer([layer], RunRecord(), FileTarget.of(small_disk / "whole.fgb"))
            assert (small_disk / "whole.fgb").read_bytes() == (tmp_path / "whole.fgb").read_bytes(), free
        except OutputError:
            refused += 1
        for file in small_disk.iterdir():
            file.unlink()
    assert 5 < refused < 15


def test_a_quicklook_is_not_left_half_written(small_disk: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 600, 600), dtype=np.uint8)
    picture = draw_quicklook(noise, [], {}, ("ship",), "scene", None)
    with pytest.raises(OutputError, match="cannot be written"), Publication() as publication:
        save_quicklook(picture, publication.draft(small_disk / "quick.png"))
    assert not list(small_disk.iterdir())
