"""`lcageo.detect` against the command, and its options against DetectConfig."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from support.scenes import UTM, noise, write_scene

import lcageo
from lcageo.config import DetectConfig, DetectOptions
from lcageo.errors import ConfigError, UsageError
from lcageo.inference.jobs import Job
from lcageo.inference.run import run_jobs
from lcageo.inference.runner import LocalRunner
from lcageo.inference.scene import Run
from lcageo.vector.read import open_layer
from lcageo.vector.target import FileTarget

pytestmark = pytest.mark.filterwarnings("ignore:model 'untrained' is untrained:UserWarning")
COLUMNS = ["id", "class", "class_id", "score", "width_m", "height_m", "area_m2", "scene", "geometry"]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scene.tif", noise(300, 300))


def test_it_finds_what_the_command_writes(scene: Path, untrained: Path, tmp_path: Path) -> None:
    config = DetectConfig(score=0.03)
    predictor = lcageo.load_predictor(lcageo.find_card(str(untrained)), config)
    job = Job(str(scene), (FileTarget.of(tmp_path / "found.gpkg"),), None)
    (outcome,) = run_jobs([job], Run(LocalRunner(predictor, predictor.batch), config, print))
    assert outcome.error is None
    found = lcageo.detect(scene, model=untrained, score=0.03)
    written = geopandas.read_file(tmp_path / "found.gpkg", layer="found")
    assert found.columns.tolist() == COLUMNS and found.crs == "EPSG:32633" and len(found) > 30
    assert (found["score"].diff().dropna() <= 0).all()
    for name in COLUMNS[:-1]:
        assert found[name].tolist() == written[name].tolist()
    assert found.geometry.to_wkt().tolist() == written.geometry.to_wkt().tolist()
    assert json.loads(json.dumps(found.attrs["lcageo"])) == open_layer(tmp_path / "found.gpkg", "").record.as_json()


def test_its_result_survives_geopandas(scene: Path, untrained: Path, tmp_path: Path) -> None:
    found = lcageo.detect(str(scene), model=untrained, score=0.03)
    json.dumps(found.attrs["lcageo"])
    found.to_crs(4326).to_parquet(tmp_path / "found.parquet")
    assert len(geopandas.read_parquet(tmp_path / "found.parquet")) == len(found)
    assert found[found["score"] > 0.05].attrs["lcageo"]["model"] == "untrained"


def test_its_options_are_the_fields_of_detect_config() -> None:
    fields = {field.name: field for field in dataclasses.fields(DetectConfig)}
    del fields["review"]  # asks for a second layer, and here there is one
    assert list(DetectOptions.__annotations__) == list(fields)
    assert DetectConfig.of({}) == DetectConfig()
    plain: dict[str, Any] = {
        "score": 0.2, "keep": 0.1, "classes": ["ship"], "max_per_tile": 7, "overlap": "25%", "gsd": 0.5, "iou": 0.4,
        "merge_metric": "ios", "agnostic": True, "bands": [3, 2, 1], "stretch": "none", "edge_nodata": "none",
        "aoi": "port.gpkg",
    }  # fmt: skip
    config = DetectConfig.of(plain)  # type: ignore[arg-type]
    typed = {**plain, "classes": ("ship",), "bands": (3, 2, 1), "aoi": Path("port.gpkg")}
    assert config.parameters() == DetectConfig(**typed).parameters()
    assert DetectConfig.of({"bbox": (0, 0, 1, 1), "bbox_crs": "EPSG:4326"}).bbox == (0, 0, 1, 1)


def test_options_take_effect(scene: Path, untrained: Path) -> None:
    area = shapely.box(UTM.c, UTM.f - 60, UTM.c + 60, UTM.f)
    some = lcageo.detect(
        scene, model=untrained, score=0.03, bbox=area.bounds, classes=["ship", "bridge"], backend="torch"
    )
    assert len(some) > 0 and set(some["class"]) <= {"ship", "bridge"} and some.geometry.centroid.within(area).all()
    assert some.attrs["lcageo"]["engine"].startswith("torch")
    none = lcageo.detect(scene, model=untrained, score=1.0)
    assert len(none) == 0 and none.columns.tolist() == COLUMNS and none.crs == "EPSG:32633"


def test_messages_of_the_command_become_warnings(tmp_path: Path, untrained: Path) -> None:
    plain = write_scene(tmp_path / "plain.tif", noise(100, 100), crs=None, transform=None)
    with pytest.warns(UserWarning, match="has no (CRS|known ground)"):
        found = lcageo.detect(plain, model=untrained, score=0.03)
    assert found.crs is None and np.isnan(found["area_m2"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scor": 0.3}, "there is no option scor"),
        ({"backend": "tensorflow"}, "backend 'tensorflow' is not known; choose one of auto, openvino"),
        ({"merge_metric": "giou"}, "merge_metric 'giou' is not known; choose one of iou, ios"),
        ({"classes": "ship"}, "classes 'ship' is a single string; give a list"),
        ({"score": 2}, "score 2 is outside 0 to 1"),
        ({"device": "cpu", "classes": ["boat"]}, "has no class 'boat'"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], message: str, scene: Path, untrained: Path) -> None:
    with pytest.raises((ConfigError, UsageError), match=message):
        lcageo.detect(scene, model=untrained, **options)
