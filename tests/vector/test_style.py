"""Styles, read back as XML and from the database, and by QGIS itself, which opens and draws the layers."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.readers import qgis_opens

from lcageo.detections import Detections
from lcageo.palette import PALETTE
from lcageo.scene.georef import Georeference
from lcageo.selection.criteria import Criteria
from lcageo.selection.filter import filter_layer
from lcageo.vector import write as vector
from lcageo.vector.features import features
from lcageo.vector.formats import FORMATS, STYLE_MARK
from lcageo.vector.geopackage import append_layer
from lcageo.vector.publish import Publication, check_output
from lcageo.vector.record import RunRecord
from lcageo.vector.style import LABEL_SCALE, qml
from lcageo.vector.target import FileTarget

CLASSES = ("ship", "R&D <hut>", 'it\'s "odd"', "Öltank", "never found")
UTM = Georeference(pyproj.CRS(32633), rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000))
ABOUT = RunRecord(model="m")
SAVED = "<!DOCTYPE qgis><qgis version='3.40.0'>an afternoon's work</qgis>"


def found(count: int = 8) -> Detections:
    """Objects of 20 m, 60 m apart, of the first four classes, with scores that rise to 1."""
    corners = np.array([divmod(index, 4) for index in range(count)]) * 120.0
    scores = np.linspace(0.3, 1, count).astype(np.float32)
    return Detections(np.hstack([corners, corners + 40]), scores, np.arange(count) % 4)


def layer(objects: Detections) -> geopandas.GeoDataFrame:
    return features(objects, CLASSES, UTM.to_map, UTM.crs, "scene")


def write(path: Path, *parts: geopandas.GeoDataFrame, record: RunRecord = ABOUT) -> Path:
    with Publication() as publication:
        vector.write_layer(parts, record, publication.draft_of(FileTarget.of(path)))
        publication.publish()
    return path


def style_of(path: Path) -> ElementTree.Element:
    """The style that QGIS would take for a layer."""
    if path.suffix != ".gpkg":
        root: ElementTree.Element = fromstring(path.with_suffix(".qml").read_bytes())
        return root
    with sqlite3.connect(path) as base:
        ((text, default),) = base.execute(
            "SELECT styleQML, useAsDefault FROM layer_styles JOIN gpkg_geometry_columns "
            "ON f_table_name = table_name AND f_geometry_column = column_name WHERE f_table_schema = ''"
        )
    base.close()
    assert default == 1
    return fromstring(text)


def legend(style: ElementTree.Element) -> list[tuple[str, str]]:
    """Value and colour of every category."""
    symbols = {symbol.get("name"): symbol for symbol in style.iter("symbol")}
    return [
        (
            one.attrib["value"],
            next(
                o.attrib["value"] for o in symbols[one.get("symbol")].iter("Option") if o.get("name") == "outline_color"
            ),
        )
        for one in style.iter("category")
    ]


def rgba(label: int) -> str:
    return ",".join(map(str, (*PALETTE[label], 255)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_layer_has_a_style_of_the_classes_that_it_holds(suffix: str, tmp_path: Path) -> None:
    whole = layer(found())
    path = write(tmp_path / f"found{suffix}", whole.iloc[:1], whole.iloc[1:])
    assert legend(style_of(path))[:-1] == [(name, rgba(label)) for label, name in enumerate(CLASSES[:4])]
    assert (FileTarget.of(path).style is None) == (suffix == ".gpkg") == (not (tmp_path / "found.qml").exists())


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.integers(0, 50), max_size=5))
def test_any_class_name_gives_valid_xml(classes: dict[str, int]) -> None:
    names = [value for value, _ in legend(fromstring(qml(classes)))[:-1]]
    assert len(names) == len(classes)
    for name, (expected, _) in zip(names, sorted(classes.items(), key=lambda one: (one[1], one[0])), strict=True):
        assert len(name) == len(expected)
        assert all(a == b or (a == "\ufffd" and not b.isprintable()) for a, b in zip(name, expected, strict=True))


def test_an_empty_layer_has_a_style_and_one_without_classes_has_none(tmp_path: Path) -> None:
    assert len(legend(style_of(write(tmp_path / "none.gpkg", layer(Detections.empty()))))) == 1
    write(tmp_path / "holes.geojson", layer(found())[["id", "scene", "geometry"]])
    write(tmp_path / "holes.gpkg", layer(found())[["id", "scene", "geometry"]])
    assert {path.name for path in tmp_path.iterdir()} == {"none.gpkg", "holes.geojson", "holes.gpkg"}
    assert len(vector.pyogrio.list_layers(tmp_path / "holes.gpkg")) == 1


def test_a_class_keeps_its_colour_when_others_are_filtered_out(tmp_path: Path) -> None:
    source = write(tmp_path / "all.gpkg", layer(found()))
    filter_layer(source, tmp_path / "some.shp", Criteria(classes=("Öltank",)))
    assert legend(style_of(tmp_path / "some.shp"))[:-1] == [("Öltank", rgba(3))]
    foreign = geopandas.GeoDataFrame({"class": ["a", None], "class_id": [np.nan, 2], "score": [0.1, 0.2]})
    foreign.set_geometry(layer(found(2)).geometry.to_numpy(), crs=UTM.crs).to_file(tmp_path / "foreign.gpkg")
    filter_layer(tmp_path / "foreign.gpkg", tmp_path / "copy.fgb", Criteria())
    assert len(legend(style_of(tmp_path / "copy.fgb"))) == 1


def test_our_style_does_not_block_other_layers_and_a_saved_one_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "found.geojson", layer(found()))
    other = tmp_path / "found.fgb"
    check_output(other, FileTarget.of(other).files, overwrite=False)
    write(other, layer(found(1)))  # our own style is replaced
    assert len(legend(style_of(other))) == 2
    style = tmp_path / "found.qml"
    style.write_text(SAVED)
    write(tmp_path / "found.geojson", layer(found()))
    assert style.read_text() == SAVED
    FileTarget.of(other).remove()
    assert not other.exists() and style.read_text() == SAVED
    style.write_text(f"<!-- {STYLE_MARK} -->")
    FileTarget.of(tmp_path / "found.geojson").remove()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def in_qgis(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What QGIS reports of a layer in each format that Debian's build reads, by suffix; and the folder of pictures."""
    folder = tmp_path_factory.mktemp("qgis")
    suffixes = [suffix for suffix in FORMATS if suffix != ".parquet"]
    uris = {suffix: str(write(folder / f"found-{suffix[1:]}{suffix}", layer(found()))) for suffix in suffixes}
    uris[".gpkg"] += "|layername=found-gpkg"  # as its browser opens it
    opened = qgis_opens(list(uris.values()), folder)
    return {"folder": folder} | {suffix: opened[uri] for suffix, uri in uris.items()}


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".parquet"])
def test_qgis_applies_the_style_on_opening(suffix: str, in_qgis: dict[str, Any]) -> None:
    about = in_qgis[suffix]
    assert about["valid"] and about["features"] == 8
    assert about["renderer"] == "categorizedSymbol" and about["attribute"] == "class"
    classes = [[name, name, list(PALETTE[label])] for label, name in enumerate(CLASSES[:4])]
    assert about["categories"] == [*classes, ["", "other", [0, 0, 0]]]
    for number, score in enumerate(np.round(found().scores.astype(float), 4).tolist(), 1):
        assert about["opacities"][str(number)] == pytest.approx(40 + 60 * score, abs=1e-3)


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".parquet"])
def test_qgis_draws_the_classes_and_labels_at_large_scale_only(suffix: str, in_qgis: dict[str, Any]) -> None:
    about, folder = in_qgis[suffix], in_qgis["folder"]
    assert about["labels"] == [True, True, 1, LABEL_SCALE]
    texts = [f"{CLASSES[n % 4]} {score:.2f}" for n, score in enumerate(found().scores.tolist())]
    assert about["drawn"] == {"2000": sorted(texts), "4000": []}
    for scale in about["drawn"]:
        pixels = np.asarray(Image.open(folder / f"found-{suffix[1:]}{suffix}.{scale}.png").convert("RGB")).reshape(
            -1, 3
        )
        best = (pixels == PALETTE[3]).all(axis=1).sum()  # its score is 1: its outline is opaque
        assert best > 20, f"the outline of the best object is not in the picture at 1:{scale}"


KEPT = RunRecord(
    model="m",
    parameters={"keep": 0.1},
    thresholds={"ship": 0.25, "R&D <hut>": 0.75, 'it\'s "odd"': 0.55, "Öltank": 0.65, "never found": 0.9},
)


def test_candidates_are_hidden_until_they_are_ticked_in_the_legend(tmp_path: Path) -> None:
    """Of two classes, the first of two objects is below the threshold."""
    suffixes = [suffix for suffix in FORMATS if suffix != ".parquet"]
    uris = {
        suffix: str(write(tmp_path / f"kept-{suffix[1:]}{suffix}", layer(found()), record=KEPT)) for suffix in suffixes
    }
    uris[".gpkg"] += "|layername=kept-gpkg"
    opened = qgis_opens(list(uris.values()), tmp_path)
    scores = found().scores.round(4).tolist()
    shown = [n for n, score in enumerate(scores) if score >= list((KEPT.thresholds or {}).values())[n % 4]]
    assert shown == [0, 4, 5, 6, 7]
    for uri in uris.values():
        about = opened[uri]
        assert about["drawn"]["2000"] == sorted(f"{CLASSES[n % 4]} {scores[n]:.2f}" for n in shown)
        assert sorted(about["opacities"]) == [str(n + 1) for n in shown]
        assert [entry[1] for entry in about["categories"]] == [*CLASSES[:4], "other", "candidates"]


def test_a_layer_of_what_was_found_alone_has_no_category_of_candidates(tmp_path: Path) -> None:
    kept = write(tmp_path / "kept.gpkg", layer(found()), record=KEPT)
    assert [value for value, _ in legend(style_of(kept))][-1] == "(candidate)"
    filter_layer(kept, tmp_path / "found.gpkg", Criteria())
    assert [value for value, _ in legend(style_of(tmp_path / "found.gpkg"))] == [*CLASSES[:4], ""]


def test_an_appended_run_with_candidates_hides_them(tmp_path: Path) -> None:
    path = write(tmp_path / "all.gpkg", layer(found()))
    with Publication() as publication:
        append_layer([layer(found())], KEPT, FileTarget.of(path), publication)
        publication.publish()
    assert [value for value, _ in legend(style_of(path))][-1] == "(candidate)"


def test_qgis_tells_candidates_of_classes_with_any_name(tmp_path: Path) -> None:
    names = ("C:\\", "a\\n", "it's \\'", "\\\\")
    objects = features(found(), names, UTM.to_map, UTM.crs, "scene")
    record = replace(KEPT, thresholds=dict.fromkeys(names, 0.6))
    path = write(tmp_path / "kept.geojson", objects, record=record)
    about = qgis_opens([str(path)], tmp_path)[str(path)]
    assert sorted(about["opacities"]) == [str(n + 1) for n, score in enumerate(found().scores) if score >= 0.6]
    assert [entry[0] for entry in about["categories"]] == [*names, "", "(candidate)"]
