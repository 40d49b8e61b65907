"""Descriptions of an exported model: read with pystac, and run as ArcGIS would, against our own predictor."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pystac
import pystac.validation
import pytest
from pystac.extensions.mlm import AssetGeneralMLMExtension, MLMExtension, TaskType, ValueScalingType
from support.untrained import CLASSES

from lcageo.config import Backend, DetectConfig
from lcageo.export.export import Description, export_model
from lcageo.export.stac import MLM, stac_item
from lcageo.palette import PALETTE
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_predictor

SIZE, PADDING = 256, 64
SCORE = 0.02


@pytest.fixture(scope="module")
def exported(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an exported model with all that describes it."""
    folder = tmp_path_factory.mktemp("exported")
    export_model(find_card(str(untrained)), folder / "model.onnx", list(Description))
    return folder


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


@pytest.fixture(scope="module")
def function(exported: Path) -> ModuleType:
    """The Python raster function as ArcGIS loads it: from the file beside the model."""
    found = importlib.util.spec_from_file_location("LcaObjectDetector", exported / "LcaObjectDetector.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def detector(function: ModuleType, exported: Path, **scalars: Any) -> tuple[Any, dict[str, Any]]:
    made = function.LcaObjectDetector()
    made.initialize(model=str(exported / "model.emd"), device=-1)
    return made, made.getConfiguration(threshold=SCORE, **scalars)


def test_the_definition_names_existing_files_and_every_class(exported: Path) -> None:
    about = json.loads((exported / "model.emd").read_text())
    assert about["ModelType"] == "ObjectDetection" and about["Framework"] == "ONNX"
    assert (exported / about["ModelFile"]).is_file() and (exported / about["InferenceFunction"]).is_file()
    assert about["ImageHeight"] == about["ImageWidth"] == SIZE and about["ExtractBands"] == [0, 1, 2]
    assert [(one["Value"], one["Name"]) for one in about["Classes"]] == list(enumerate(CLASSES, 1))
    assert [tuple(one["Color"]) for one in about["Classes"]] == list(PALETTE[: len(CLASSES)])


def test_arcgis_gets_the_configuration_it_asks_for(function: ModuleType, exported: Path) -> None:
    made, configuration = detector(function, exported, padding=PADDING)
    names = [parameter["name"] for parameter in made.getParameterInfo()]
    assert names[:3] == ["raster", "model", "device"] and {"padding", "threshold"} <= set(names)
    assert (configuration["tx"], configuration["ty"], configuration["padding"]) == (128, 128, PADDING)
    assert configuration["extractBands"] == (0, 1, 2)
    assert [field["name"] for field in json.loads(made.getFields())["fields"]] == [
        "OID",
        "Class",
        "Confidence",
        "Shape",
    ]


def test_in_arcgis_a_block_gives_what_we_find_in_its_inner_part(
    function: ModuleType, exported: Path, untrained: Path
) -> None:
    made, _ = detector(function, exported, padding=PADDING)
    image = np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)
    blocks = {"raster_pixels": image.copy(), "raster_mask": np.ones((1, SIZE, SIZE), np.uint8)}
    features = json.loads(made.vectorize(**blocks)["output_vectors"])["features"]
    config = DetectConfig(score=SCORE, max_per_tile=10_000)
    (ours,) = load_predictor(find_card(str(untrained)), config, "cpu", Backend.TORCH).predict(image[None])
    centres = (ours.boxes_xyxy[:, :2] + ours.boxes_xyxy[:, 2:]) / 2
    ours = ours.selected(np.flatnonzero(((centres >= PADDING) & (centres < SIZE - PADDING)).all(axis=1)))
    assert len(features) == len(ours) > 10
    rings = np.array([feature["geometry"]["rings"][0] for feature in features])
    boxes = np.hstack([rings.min(axis=1), rings.max(axis=1)]) + PADDING
    assert np.abs(boxes - ours.boxes_xyxy).max() < 0.1
    written = [feature["attributes"] for feature in features]
    assert [one["Class"] for one in written] == [CLASSES[label] for label in ours.labels.tolist()]
    assert np.abs(np.array([one["Confidence"] for one in written]) / 100 - ours.scores).max() < 1e-4


def test_in_arcgis_what_is_masked_or_beyond_the_raster_is_filled(
    function: ModuleType, exported: Path, untrained: Path
) -> None:
    made, _ = detector(function, exported, padding=0)
    whole = np.empty((3, SIZE, SIZE), np.uint8)
    whole[:] = np.array(find_card(str(untrained)).fill, np.uint8)[:, None, None]
    whole[:, :100, :60] = np.random.default_rng(4).integers(0, 256, (3, 100, 60))
    cut, mask = whole[:, :120, :90].copy(), np.zeros((120, 90), np.uint8)
    mask[:100, :60] = 1
    cut[:, mask == 0] = 7
    assert made.vectorize(raster_pixels=cut, raster_mask=mask) == made.vectorize(raster_pixels=whole)
