"""What `lcageo detect` imports: it starts fast only as long as it leaves out what a run does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.scenes import noise, write_scene

pytest.importorskip("openvino")
NEVER = {
    "torch", "onnx", "onnxruntime", "onnxscript", "google", "openvino_telemetry", "absl", "scipy", "matplotlib",
    "sqlalchemy", "psycopg", "dask", "distributed", "tensorboard", "faster_coco_eval", "defusedxml", "jsonschema",
    "fsspec", "requests", "IPython", "pytest",
}  # fmt: skip
"""Packages that no run on a CPU needs whose graph is in the cache."""
LATER = {"geopandas", "pandas", "pyogrio", "pyarrow", "PIL"}
"""Packages that only results need: not imported before the first tile, other than aside."""
LIST_PACKAGES = """
import sys
from lcageo.cli.app import main
try:
    main()
finally:
    print(*{name.split(".")[0] for name, module in sys.modules.items() if module is not None})
"""


def imported(*arguments: str) -> set[str]:
    """The packages in memory after a command."""
    command = [sys.executable, "-c", LIST_PACKAGES, *arguments, "--backend", "openvino", "--model", "lca-s-open"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def test_a_run_imports_only_what_it_needs(tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(100, 100))
    scene, output = str(tmp_path / "scene.tif"), str(tmp_path / "found.geojson")
    planned = imported("detect", scene, "--dry-run")  # also fills the cache
    assert {"openvino", "rasterio"} <= planned and not planned & LATER
    packages = imported("detect", scene, "-o", output)
    assert {"openvino", "rasterio", "geopandas"} <= packages and not packages & NEVER
