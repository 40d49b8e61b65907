"""A bare GPU node: torch, numpy, pillow, safetensors, tqdm, typer and a COCO metric, without our other packages."""

from __future__ import annotations

import os
from pathlib import Path

from conftest import REPOSITORY

MISSING = (
    "rasterio", "shapely", "geopandas", "pandas", "pyogrio", "pyproj", "pyarrow", "matplotlib", "psutil", "defusedxml",
    "platformdirs", "tomli_w", "openvino", "onnx", "onnxruntime", "onnxscript", "distributed", "tensorboard",
)  # fmt: skip


def bare_environment(folder: Path) -> dict[str, str]:
    """An environment in which Python cannot import any of MISSING.

    Args:
        folder: receives the module that hides them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hiding = f"import sys\nsys.modules.update(dict.fromkeys({MISSING!r}))\n"  # None there: an import fails
    (folder / "sitecustomize.py").write_text(hiding)
    paths = os.pathsep.join([str(folder), str(REPOSITORY)])
    return {**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
