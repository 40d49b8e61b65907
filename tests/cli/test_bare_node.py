"""A GPU node often has torch and little else: training must not ask for what reads and writes maps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from shapes import write_shapes

MISSING = ("rasterio", "shapely", "geopandas", "pandas", "pyogrio", "pyproj", "pyarrow", "matplotlib", "psutil")
WITHOUT = f"""
import sys
for name in {MISSING!r}:
    sys.modules[name] = None  # an import of it fails as if it were not installed
from lcageo.cli.app import main
main()
"""


def test_training_runs_where_only_torch_and_small_packages_are(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_shapes(tmp_path / f"{name}.json", 4, seed=len(name))
    program = [sys.executable, "-c", WITHOUT, "train", "--data", "train.json", "--val", "val.json", "--out", "run"]
    small = "--backbone resnet18 --backbone-width 16 --channels 16 --imgsz 128 --epochs 1 --batch 4 --precision fp32"
    done = subprocess.run([*program, *small.split()], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.toml").exists() and not (tmp_path / "run" / "curves.png").exists()
