"""The loop of detecting, judging and cutting chips, without a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
from support.qgis_runs import Qgis


def test_chips_are_cut_from_what_the_review_leaves(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    review = geopandas.read_file(searched / "review.gpkg", layer="review")
    objects = review["kind"] == "object"
    review.loc[objects, ["verdict", "new_class"]] = ["other class", "lorry"]  # as the form writes them
    review.to_file(tmp_path / "review.gpkg")
    ended = qgis.run(
        "chips", INPUT=searched / "scene.tif", LABELS=searched / "found.gpkg", REVIEW=tmp_path / "review.gpkg",
        SIZE=128, VAL=0, OUTPUT=tmp_path / "chips",
    )  # fmt: skip
    assert ended.code == 0 and ended.results == {"OUTPUT": str(tmp_path / "chips")}, ended.text
    names = {one["name"] for one in json.loads((tmp_path / "chips" / "train.json").read_text())["categories"]}
    assert "lorry" in names and "no verdict" not in ended.text


def test_a_class_attribute_is_a_field_of_the_layer(qgis: Qgis, searched: Path, tmp_path: Path) -> None:
    ended = qgis.run(
        "chips", INPUT=searched / "scene.tif", LABELS=searched / "found.gpkg", CLASS_FIELD="scene", SIZE=128, VAL=0,
        OUTPUT=tmp_path / "chips",
    )  # fmt: skip
    assert ended.code == 0, ended.text
    categories = json.loads((tmp_path / "chips" / "train.json").read_text())["categories"]
    assert [one["name"] for one in categories] == ["scene"]


def test_a_crs_that_is_assigned_to_the_imagery_is_used_and_two_are_refused(dialog: dict[str, Any]) -> None:
    assert "results" in dialog["assigned"]["chips"], dialog["assigned"]["chips"]
    assert json.loads((dialog["folder"] / "chips" / "train.json").read_text())["annotations"]
    assert "(EPSG:3395, EPSG:3857); choose those of one CRS at a time" in dialog["assigned"]["two"]["error"]
