"""A bare GPU node: torch, numpy, pillow, safetensors, tqdm, typer and a COCO metric, without our other packages."""

from __future__ import annotations

import os
from pathlib import Path

from conftest import REPOSITORY

MISSING = (
    "rasterio", "shapely", "geopandas", "pandas", "pyogrio", "pyproj", "pyarrow", "matplotlib", "psutil", "defusedxml",
    "platformdirs", "tomli_w", "openvino", "onnx", "onnxruntime", "onnxscript", "distributed", "tensorboard",
    "yaml",
)  # fmt: skip


TRAIN_EXTRA = ("faster_coco_eval", "matplotlib", "defusedxml", "tensorboard", "yaml")
"""What only the extra `train` installs."""


def bare_environment(folder: Path, missing: tuple[str, ...] = MISSING) -> dict[str, str]:
    """An environment in which Python cannot import some packages.

    Args:
        folder: receives the module that hides them.
        missing: their names, as Python imports them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hiding = f"import sys\nsys.modules.update(dict.fromkeys({missing!r}))\n"  # None there: an import fails
    (folder / "sitecustomize.py").write_text(hiding)
    paths = os.pathsep.join([str(folder), str(REPOSITORY)])
    return {**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
