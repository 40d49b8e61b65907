"""The classes of two layers, by the names that each has for them."""

from __future__ import annotations

from pathlib import Path

from support.compared_layers import layer, square

from lcageo.data.classmap import ClassMap
from lcageo.evaluation.layer_classes import ONLY_CLASS, common_classes
from lcageo.vector.polygons import read_polygons

SHAPES = [square(0, 0), square(100, 0), square(200, 0)]


def test_true_classes_come_first_and_own_names_are_kept(tmp_path: Path) -> None:
    found = read_polygons(layer(tmp_path / "f.gpkg", SHAPES, **{"class": ["car", "truck", "boat"]}), "")
    truth = read_polygons(layer(tmp_path / "t.gpkg", SHAPES, **{"class": ["vehicle", "tank", "car"]}), "")
    class_map = ClassMap(targets={"car": "vehicle", "truck": "vehicle"})
    common = common_classes(found, truth, class_map)
    assert common.names == ["tank", "vehicle", "boat"] and not common.notes
    assert [part.tolist() for part in common.labels] == [[1, 1, 2], [1, 0, 1]]
    assert common.own == {"vehicle": ("car", "truck"), "boat": ("boat",)}


def test_without_classes_in_one_layer_all_objects_are_alike(tmp_path: Path) -> None:
    found = read_polygons(layer(tmp_path / "f.gpkg", SHAPES, **{"class": ["car", "truck", None]}), "")
    truth = read_polygons(layer(tmp_path / "t.gpkg", SHAPES[:2]), "")
    common = common_classes(found, truth, ClassMap())
    assert common.names == [ONLY_CLASS] and common.own == {} and "objects are matched regardless" in common.notes[0]
    assert [part.tolist() for part in common.labels] == [[0, 0, 0], [0, 0]]
    assert common_classes(found, found, ClassMap()).own == {"car": ("car",), "truck": ("truck",)}
