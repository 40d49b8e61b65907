"""What may be appended to a layer, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

import pyproj
import pytest
import shapely
from support.layers import CLASSES, FOUND, LOCAL_WKT, UTM33, layer_at

from lcageo.detections import Detections
from lcageo.errors import UsageError
from lcageo.vector.columns import COLUMNS
from lcageo.vector.existing_layer import ExistingLayer
from lcageo.vector.record import RunRecord

NAMES = tuple(column.name for column in COLUMNS)
FIRST = RunRecord(run="1", scene="a.tif")
LAYER = ExistingLayer("all.gpkg", pyproj.CRS(32633), NAMES, {"ship": 0, "storage tank": 1}, 7, 9, FIRST)


def test_ids_continue_over_all_parts_in_the_layers_crs() -> None:
    in_degrees = layer_at("utm").to_crs(4326)
    parts = [in_degrees, layer_at("utm", Detections.empty()).to_crs(4326), in_degrees.iloc[:1]]
    fitted = list(LAYER.fitted(parts))
    assert [part["id"].tolist() for part in fitted] == [[10, 11, 12], [], [13]]
    assert all(part.crs == UTM33.crs for part in fitted)
    expected = shapely.bounds(layer_at("utm").geometry.to_numpy())
    assert shapely.bounds(fitted[0].geometry.to_numpy()) == pytest.approx(expected, abs=1e-3)
    assert in_degrees["id"].tolist() == [1, 2, 3]


def test_a_layer_without_ids_or_crs_gets_the_objects_as_they_are() -> None:
    plain = replace(LAYER, crs=None, columns=tuple(name for name in NAMES if name != "id"))
    pixels = layer_at("utm").set_crs(None, allow_override=True).drop(columns="id")
    (fitted,) = plain.fitted([pixels])
    assert fitted.equals(pixels)


def test_classes_must_have_the_layers_numbers() -> None:
    LAYER.check_classes({"storage tank": 1, "car": 2})
    LAYER.check_classes({})
    with pytest.raises(UsageError, match="class_id of 'ship' would be 3, but in the layer 'ship' is 0; choose another"):
        LAYER.check_classes({"ship": 3})
    with pytest.raises(UsageError, match="class_id of 'car' would be 1, but in the layer 1 is 'storage tank'"):
        LAYER.check_classes({"car": 1})


def test_a_class_is_refused_in_whatever_part_it_comes() -> None:
    turned = layer_at("utm").assign(class_id=1 - FOUND.labels)
    parts = LAYER.fitted([layer_at("utm"), turned])
    assert next(parts)["class"].tolist() == [CLASSES[label] for label in FOUND.labels]
    with pytest.raises(UsageError, match=r"cannot append to 'all\.gpkg': class_id of"):
        next(parts)


def test_columns_that_the_layer_lacks_are_named() -> None:
    LAYER.check_columns(["score", "id"])
    with pytest.raises(UsageError, match="it has no column colour, shape; choose another output"):
        LAYER.check_columns(["id", "colour", "shape"])


def test_a_crs_must_be_on_both_sides_and_lead_to_the_layers() -> None:
    LAYER.check_crs(pyproj.CRS(3857))
    replace(LAYER, crs=None).check_crs(None)
    with pytest.raises(UsageError, match="only the layer has a CRS"):
        LAYER.check_crs(None)
    with pytest.raises(UsageError, match="only the new objects have a CRS"):
        replace(LAYER, crs=None).check_crs(pyproj.CRS(3857))
    with pytest.raises(UsageError, match="no transformation from site grid to the layer's CRS; choose another output"):
        LAYER.check_crs(pyproj.CRS.from_wkt(LOCAL_WKT))


def test_a_run_is_in_the_layer_if_it_was_appended_unfiltered() -> None:
    chosen = RunRecord(run="3", scene="c.tif", filtered=({"score": 0.5},))
    layer = replace(LAYER, record=LAYER.joined(RunRecord(run="2", scene="b.tif")))
    layer = replace(layer, record=layer.joined(chosen))
    assert [layer.has_run(run) for run in ("1", "2", "3", "4", None)] == [True, True, False, False, False]
    assert [layer.has_scene(scene) for scene in ("a.tif", "b.tif", "c.tif", "d.tif")] == [True, True, True, False]
    assert [record.run for record in layer.record.appended] == ["2", "3"] and LAYER.record == FIRST
