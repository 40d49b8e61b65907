"""JSON output has the schema that examples/schemas documents, and each schema an output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import jsonschema
import pytest
import shapely
from conftest import REPOSITORY
from support.commands import Run
from support.scenes import UTM, noise, write_scene
from support.shapes import write_shapes

from lcageo.cli.console import SCHEMA_VERSION

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (REPOSITORY / "examples" / "schemas").glob("*.json")}
ON_CPU = "--backend torch --device cpu"
COMMANDS = {
    "detect": f"detect scene.tif broken.tif --model {{model}} {ON_CPU} --score 0.02 -o out --json",
    "detect-dry-run": f"detect scene.tif --model {{model}} {ON_CPU} --dry-run --json",
    "batch": f"batch scene.tif broken.tif --out results --model {{model}} {ON_CPU} --score 0.02 --json",
    "chips": "chips scene.tif --labels labels.gpkg --class-field class -o chips --size 64 --json",
    "data-check": "data check shapes.json --json",
    "evaluate": f"evaluate --model {{model}} {ON_CPU} --data shapes.json --data more.json --bootstrap 5 --json",
    "evaluate-layer": "evaluate --layer labels.gpkg --truth labels.gpkg --json",
    "info": "info scene.tif --model {model} --json",
    "bench": "bench --model {model} --tiles 1 --json",
    "models-list": "models list --json",
    "models-info": "models info {model} --json",
    "doctor": "doctor --json",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scene(tmp_path / "scene.tif", noise(200, 200))
    (tmp_path / "broken.tif").write_text("no raster")
    huts = [shapely.box(UTM.c + x, UTM.f - y - 5, UTM.c + x + 5, UTM.f - y) for x in (10, 60) for y in (10, 60)]
    layer = geopandas.GeoDataFrame({"class": ["hut"] * 4, "score": [0.5] * 4}, geometry=huts, crs="EPSG:32633")
    layer[["class", "score", "geometry"]].to_file(tmp_path / "labels.gpkg")
    write_shapes(tmp_path / "shapes.json", 2, seed=0)
    write_shapes(tmp_path / "more.json", 2, seed=1)
    return tmp_path


@pytest.mark.parametrize("name", SCHEMAS)
def test_output_has_its_schema(name: str, run: Run, folder: Path, untrained: Path) -> None:
    outcome = run(*(part.format(model=untrained) for part in COMMANDS[name].split()))
    assert outcome.code in (0, 3), outcome.err
    content = json.loads(outcome.out)
    jsonschema.validate(content, SCHEMAS[name])
    for entry in content if isinstance(content, list) else [content]:
        assert entry["schema"] == f"lcageo/{name}/{SCHEMA_VERSION}"


def test_every_schema_is_valid_and_describes_every_entry() -> None:
    assert set(SCHEMAS) == set(COMMANDS)

    def described(schema: dict[str, Any]) -> None:
        for entry in schema.get("properties", {}).values():
            assert entry["description"].endswith("."), entry
            described(entry)
        for part in (schema.get("items"), schema.get("additionalProperties")):
            if isinstance(part, dict):
                described(part)

    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
        described(schema)


def test_an_entry_without_a_description_is_refused(untrained: Path, run: Run) -> None:
    content = json.loads(run("models", "info", untrained, "--json").out)
    with pytest.raises(jsonschema.ValidationError, match="'undocumented' was unexpected"):
        jsonschema.validate({**content, "undocumented": 1}, SCHEMAS["models-info"])
