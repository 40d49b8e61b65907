from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.py"


def test_the_gpu_benchmark_runs_small_without_a_gpu() -> None:
    small = "--preset lca --backbone resnet18 --width 16 --channels 32 --side 64 --batches 1 2 --seconds 0.2"
    done = subprocess.run([sys.executable, SCRIPT, *small.split()], capture_output=True, text=True, check=True)
    rows = re.findall(r"^(fp32|bf16)\s+as it is\s+(\d+)\s+([\d.]+)\s+([\d.]+)", done.stdout, re.M)
    assert [(numbers, batch) for numbers, batch, _, _ in rows] == [
        ("fp32", "1"), ("fp32", "2"), ("bf16", "1"), ("bf16", "2"),
    ]  # fmt: skip
    assert all(float(bare) > 0 and float(whole) > 0 for _, _, bare, whole in rows)
