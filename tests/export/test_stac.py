"""The STAC item of an exported model, read with pystac."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pystac
import pystac.validation
import pytest
from pystac.extensions.mlm import AssetGeneralMLMExtension, MLMExtension, TaskType, ValueScalingType
from support.untrained import CLASSES

from lcageo.export.stac import MLM, stac_item
from lcageo.runtime.catalog import find_card


@pytest.fixture(scope="module")
def item(exported: Path) -> pystac.Item:
    return pystac.Item.from_file(exported / "model.stac.json")


def test_the_item_is_valid_stac_and_its_asset_is_the_file(exported: Path, item: pystac.Item) -> None:
    content = json.loads((exported / "model.stac.json").read_text())
    # The core's schemas are part of pystac; those of extensions would be fetched from the network.
    pystac.validation.validate_dict(content, pystac.STACObjectType.ITEM, content["stac_version"], extensions=[])
    asset = item.assets["model"]
    path = Path(str(asset.get_absolute_href()))
    assert path == exported / "model.onnx" and {"mlm:model", "mlm:weights"} <= set(asset.roles or ())
    checksum = bytes.fromhex(asset.extra_fields["file:checksum"])
    assert checksum[:2] == b"\x12\x20" and checksum[2:] == hashlib.sha256(path.read_bytes()).digest()
    assert asset.extra_fields["file:size"] == path.stat().st_size
    assert AssetGeneralMLMExtension.ext(asset).artifact_type == "onnx"


def test_the_item_describes_the_graph_as_onnx_runtime_sees_it(exported: Path, item: pystac.Item) -> None:
    mlm = MLMExtension.ext(item)
    assert mlm.get_schema_uri() == MLM and MLM in item.stac_extensions
    assert (mlm.mlm_name, mlm.architecture, mlm.framework) == ("untrained", "LCA-Det", "ONNX")
    assert mlm.tasks == [TaskType.OBJECT_DETECTION] and mlm.accelerator is None and mlm.pretrained is False
    assert "mlm:pretrained_source" in item.properties and mlm.pretrained_source is None
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    ((taken,), (given,), (images,), (boxes,)) = (mlm.input, mlm.output, session.get_inputs(), session.get_outputs())
    assert (taken.name, taken.input.shape) == (images.name, images.shape)
    assert (given.name, given.result.shape) == (boxes.name, boxes.shape)
    assert taken.input.dim_order == ["batch", "channel", "height", "width"]
    assert taken.bands == [band["name"] for band in item.properties["bands"]] == ["red", "green", "blue"]
    # pystac takes one object; the extension says a list.
    assert taken.to_dict()["value_scaling"] == [{"type": ValueScalingType.MIN_MAX, "minimum": 0, "maximum": 255}]
    assert [one.description for one in given.classes or ()] == list(CLASSES)
    assert all(re.fullmatch("[0-9A-Za-z_-]+", str(one.name)) for one in given.classes or ())
    assert set(mlm.hyperparameters.to_dict()["score_thresholds"]) == set(CLASSES)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a", "lca-s", "Öl & Gas", "3rd", "x_", "runs/2026"])
def test_any_name_of_a_model_becomes_one_that_the_extension_allows(name: str, untrained: Path, exported: Path) -> None:
    card = replace(find_card(str(untrained)), name=name)
    made = stac_item(card, 128, (exported / "model.onnx").read_bytes(), "./model.onnx")
    assert made["id"] == name
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", made["properties"]["mlm:name"])  # MLM's own pattern
