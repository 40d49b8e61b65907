"""The layers of the design (CONTRIBUTING.md): who may import what, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lcageo"
LAYER = {
    "errors": 0, "detections": 0, "config": 0, "train_config": 0, "geodesy": 0, "nms": 0, "toml": 0,
    "scene": 1, "detector": 1, "output": 1, "merge": 1, "metrics": 1,
    "runtime": 2, "data": 2, "training": 2,
    "pipeline": 3,
    "cli": 4, "__main__": 5, "__init__": 5,
}  # fmt: skip
ONLY_IN = {
    "rasterio": ("scene",),
    "shapely": ("scene.aoi", "output", "pipeline.evaluate_layer"),
    "geopandas": ("scene.aoi", "output", "pipeline.evaluate_layer", "pipeline.filter"),
    "sqlalchemy": ("output.postgis",),
    "psycopg": ("output.postgis",),
    "matplotlib": ("metrics.plots", "training.curves"),
    "faster_coco_eval": ("metrics.coco",),
    "tensorboard": ("training",),
    "torch": (
        "detector",
        "runtime.torch_backend",
        "runtime.cuda_graph",
        "runtime.onnx_export",
        "runtime.weights",
        "data.dataset",
        "training",
        "pipeline.train",
        "pipeline.train_figures",
        "pipeline.train_model",
        "pipeline.train_validation",
    ),
    "openvino": ("runtime.openvino_backend",),
    "onnxruntime": ("runtime.onnx_backend", "runtime.arcgis_function"),
    "typer": ("cli",),
    "tqdm": ("cli",),
    "click": (),  # Typer carries a private copy and does not catch the public one's exceptions
}
FILES = sorted(PACKAGE.rglob("*.py"))


class _WithoutTypes(ast.NodeTransformer):
    """Leaves out what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.If | None:  # as ast calls it
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_for_types else node


def imports(path: Path, for_types: bool = True) -> set[str]:
    """Full names of the modules a file imports, wherever in it."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree if for_types else _WithoutTypes().visit(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_layers(path: Path) -> None:
    own = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    top = own.split(".")[0]
    for name in imports(path):
        root, *rest = name.split(".")
        if root == "lcageo" and rest and rest[0] in LAYER:
            below = LAYER[rest[0]] < LAYER[top] or LAYER[rest[0]] == LAYER[top] == 0
            assert rest[0] == top or below, f"{own} must not import {name}"
    for root in {name.split(".")[0] for name in imports(path, for_types=False)}:
        allowed = ONLY_IN.get(root)
        if allowed is not None:
            assert any(own == place or own.startswith(f"{place}.") for place in allowed), (
                f"{own} must not import {root}"
            )


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "cli"], ids=lambda path: path.name)
def test_commands_import_heavy_packages_only_when_run(path: Path) -> None:
    heavy = {"lcageo.pipeline", "lcageo.scene", "lcageo.output", "numpy", "tqdm", "lcageo.runtime.predictor"}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module or ""}
            assert not any(name == bad or name.startswith(f"{bad}.") for name in names for bad in heavy), names
