"""The Esri model definition."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

from support.untrained import CLASSES

from lcageo.export.arcgis import FUNCTION_FILE, esri_definition, function_source
from lcageo.palette import PALETTE
from lcageo.runtime.catalog import find_card


def test_the_definition_names_existing_files_and_every_class(exported: Path) -> None:
    about = json.loads((exported / "model.emd").read_text())
    assert about["ModelType"] == "ObjectDetection" and about["Framework"] == "ONNX"
    assert (exported / about["ModelFile"]).is_file() and (exported / about["InferenceFunction"]).is_file()
    assert about["ImageHeight"] == about["ImageWidth"] == 256 and about["ExtractBands"] == [0, 1, 2]
    assert [(one["Value"], one["Name"]) for one in about["Classes"]] == list(enumerate(CLASSES, 1))
    assert [tuple(one["Color"]) for one in about["Classes"]] == list(PALETTE[: len(CLASSES)])


def test_one_threshold_stands_for_all_classes_and_the_padding_is_half_of_the_overlap(untrained: Path) -> None:
    card = find_card(str(untrained))
    card = replace(card, thresholds=dict.fromkeys(card.classes, 0.2) | {"ship": 0.9})
    about = esri_definition(card, 65, "a.onnx", lambda label: (label, 0, 255 - label))
    assert about["Threshold"] == 0.2 and about["Padding"] == 32 and about["ModelFile"] == "a.onnx"
    assert [one["Color"] for one in about["Classes"]] == [[label, 0, 255 - label] for label in range(len(CLASSES))]
    assert about["Fill"] == [round(value) for value in card.mean]
    assert json.loads(json.dumps(about)) == about


def test_the_function_is_the_file_that_the_definition_names_and_needs_only_numpy_and_onnx_runtime() -> None:
    tree = ast.parse(function_source())
    assert Path(FUNCTION_FILE).stem in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
