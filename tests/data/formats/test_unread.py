"""Formats that are not read are recognised, and the refusal names what to export instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lcageo.data.annotations import SplitName
from lcageo.data.formats.unread import way_out
from lcageo.data.sets import read_source
from lcageo.errors import DataError

SHAPE = {"x": 3.2, "y": 8.5, "width": 15.8, "height": 9.8, "rectanglelabels": ["car"], "original_width": 320}
FILES: dict[str, tuple[str, Any, str]] = {
    "Label Studio": ("result.json", [{"id": 1, "annotations": [{"result": [{"value": SHAPE}]}]}], "YOLO with Images"),
    "Label Studio, JSON_MIN": ("min.json", [{"image": "/data/upload/1/a.png", "id": 1, "label": [SHAPE]}], "COCO"),
    "Label Studio, CSV": ("result.csv", 'annotation_id,image,label\n1,a.png,"[{""original_width"":320}]"\n', "COCO"),
    "CVAT": ("annotations.xml", '<?xml version="1.0"?>\n<annotations>\n  <version>1.1</version>', "COCO 1.0"),
    "LabelMe": ("a.json", {"version": "5.4.1", "shapes": [], "imagePath": "a.png"}, "labelme2yolo"),
    "Datumaro": ("annotations/default.json", {"dm_format_version": "1.0", "items": []}, "coco_instances"),
    "VGG Image Annotator": ("via.json", {"a.png1": {"regions": [{"shape_attributes": {"x": 1}}]}}, "export COCO"),
    "Open Images": ("train.csv", "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n", "convert it to COCO"),
}
"""File, content and a word of the way out, of what Label Studio's converter (label-studio-sdk 2.1), Datumaro 1.13,
globox 2.9 and LabelMe write in these formats."""


@pytest.mark.parametrize("tool", FILES)
def test_a_format_that_is_not_read_is_named_with_the_way_out(tmp_path: Path, tool: str) -> None:
    name, content, word = FILES[tool]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert tool.partition(",")[0] in way_out(path)
    for source in (path, tmp_path):
        with pytest.raises(DataError, match=f"it is in .* format: .*{word}"):
            read_source(source, SplitName.TRAIN)


def test_of_anything_else_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    assert way_out(tmp_path) == "" and way_out(tmp_path / "nowhere") == ""
    with pytest.raises(DataError, match=r"is not a labelled set; give .*; most labelling tools export COCO or YOLO"):
        read_source(tmp_path, SplitName.TRAIN)
