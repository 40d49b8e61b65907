"""What this machine has, told without importing anything heavy."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from lcageo.config import Backend

_GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA, of AMD, and of either under Windows' Linux put there."""

PACKAGE = {
    Backend.TORCH: "torch",
    Backend.COMPILED: "torch",
    Backend.OPENVINO: "openvino",
    Backend.ONNX: "onnxruntime",
}
"""What each backend imports."""


def may_have_gpu() -> bool:
    """Whether asking torch for a GPU is worth the seconds that its import takes; False only where there is none."""
    return not sys.platform.startswith("linux") or any(Path(name).exists() for name in _GPU_FILES)


def stays_on_cpu(device: str) -> bool:
    """Whether a user's word for a device means the CPU, as far as that can be told without torch."""
    return device == "cpu" or (device == "auto" and not may_have_gpu())


def has_package(backend: Backend) -> bool:
    """Whether what a backend imports is installed."""
    return find_spec(PACKAGE[backend]) is not None


def cores() -> int:
    """Processor cores that this process may use; the variable that OpenMP reads limits them, as it does torch's."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(here, int(limit)) if limit.isdigit() and int(limit) else here
