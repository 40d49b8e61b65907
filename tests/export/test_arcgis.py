"""The definition that ArcGIS reads."""

from __future__ import annotations

import json
from pathlib import Path

from support.exported_models import SIZE
from support.untrained import CLASSES

from lcageo.palette import PALETTE


def test_the_definition_names_existing_files_and_every_class(exported: Path) -> None:
    about = json.loads((exported / "model.emd").read_text())
    assert about["ModelType"] == "ObjectDetection" and about["Framework"] == "ONNX"
    assert (exported / about["ModelFile"]).is_file() and (exported / about["InferenceFunction"]).is_file()
    assert about["ImageHeight"] == about["ImageWidth"] == SIZE and about["ExtractBands"] == [0, 1, 2]
    assert [(one["Value"], one["Name"]) for one in about["Classes"]] == list(enumerate(CLASSES, 1))
    assert [tuple(one["Color"]) for one in about["Classes"]] == list(PALETTE[: len(CLASSES)])
