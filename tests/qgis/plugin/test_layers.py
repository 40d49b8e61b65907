from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import pytest
from support.qgis_runs import Qgis
from support.readers import read_layer


def test_a_layer_is_its_file_with_the_filter_and_one_with_edits_is_refused(
    seen: dict[str, Any], searched: Path
) -> None:
    about = seen["exporting"]
    assert about["own"] == str(searched / "found.gpkg")  # with its record and the table of styles
    assert about["subset"] == [f'{about["own"]}|subset="id" <= 3', 3]
    assert "has edits that are not saved" in about["edited"]


def test_what_the_command_cannot_read_in_the_file_is_exported_and_the_log_tells_what_is_lost(
    dialog: dict[str, Any], searched: Path
) -> None:
    about, own = dialog["sources"], str(searched / "found.gpkg")
    everything = len(read_layer(searched / "found.gpkg").rows)
    assert about["condition"] == [f"{own}|subset=\"class\" <> ''", everything, ""]
    for name, count in (("slashes", everything), ("query", 2), ("virtual field", everything)):
        path, features, log = about[name]
        assert not path.startswith(own) and features == count and "candidates count as objects" in log, name


def test_one_of_several_layers_is_named(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.gpkg"
    for layer in ("one", "other"):
        geopandas.read_file(searched / "found.gpkg", layer="found").to_file(both, layer=layer)
    for chosen, name in (("", "one"), ("|layerid=1", "other"), ("|layername=other", "other")):
        ended = qgis.run("filter", INPUT=f"{both}{chosen}", TOP=3, OUTPUT=tmp_path / "chosen.gpkg")
        assert ended.code == 0 and f" filter '{both}|layername={name}' " in ended.text, ended.text


def test_a_layer_in_an_archive_is_named_with_the_archive(dialog: dict[str, Any]) -> None:
    source = f"/vsizip/{dialog['folder'] / 'results.zip'}/site/one.geojson"
    assert dialog["sources"]["archive"] == [source, 1, ""]


def test_a_part_of_what_a_server_draws_becomes_a_raster_of_its_ground_resolution(seen: dict[str, Any]) -> None:
    about = seen["exporting"]
    columns, rows, crs, bands = about["drawn"]
    assert (columns, rows) == (pytest.approx(200, abs=6), pytest.approx(200, abs=6))  # 100 m, and the rotation of UTM
    assert crs == "EPSG:3857" and bands == 4 and about["value"] == 90
    assert about["is file"] == [False, True]
    assert "choose the extent" in about["no extent"] and "choose a smaller one" in about["too large"]


def test_an_extent_is_told_with_its_crs(seen: dict[str, Any]) -> None:
    assert seen["exporting"]["bbox"] == ["--bbox=500000.0,4999900.0,500100.0,5000000.0", "--bbox-crs", "EPSG:32633"]
