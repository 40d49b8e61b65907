from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_layer_that_is_alone_in_its_file_is_that_file_and_others_are_exported(
    seen: dict[str, Any], searched: Path
) -> None:
    about = seen["exporting"]
    assert about["own"] == str(searched / "found.gpkg")  # with its record and the table of styles
    path, count = about["subset"]
    assert path != about["own"] and count == 3
    assert "has edits that are not saved" in about["edited"]


def test_a_part_of_what_a_server_draws_becomes_a_raster_of_its_ground_resolution(seen: dict[str, Any]) -> None:
    about = seen["exporting"]
    columns, rows, crs, bands = about["drawn"]
    assert (columns, rows) == (pytest.approx(200, abs=6), pytest.approx(200, abs=6))  # 100 m, and the rotation of UTM
    assert crs == "EPSG:3857" and bands == 4 and about["value"] == 90
    assert about["is file"] == [False, True]
    assert "choose the extent" in about["no extent"] and "choose a smaller one" in about["too large"]


def test_an_extent_is_told_with_its_crs(seen: dict[str, Any]) -> None:
    assert seen["exporting"]["bbox"] == ["--bbox=500000.0,4999900.0,500100.0,5000000.0", "--bbox-crs", "EPSG:32633"]
