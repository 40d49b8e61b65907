"""What this machine has, determined without importing anything heavy."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from lcageo.config import Backend
from lcageo.errors import DeviceError

_GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""Device files of the drivers of NVIDIA and AMD, and of either under WSL."""

PACKAGE = {
    Backend.TORCH: "torch",
    Backend.COMPILED: "torch",
    Backend.OPENVINO: "openvino",
    Backend.ONNX: "onnxruntime",
}
"""Package that each backend imports."""


def may_have_gpu() -> bool:
    """Whether asking torch for a GPU is worth the seconds that its import takes; False only if there is none."""
    return not sys.platform.startswith("linux") or any(Path(name).exists() for name in _GPU_FILES)


def stays_on_cpu(device: str) -> bool:
    """Whether a device name given by the user means the CPU, as far as can be known without torch."""
    return device == "cpu" or (device == "auto" and not may_have_gpu())


def has_package(backend: Backend) -> bool:
    """Whether the package that a backend imports is installed."""
    return find_spec(PACKAGE[backend]) is not None


_runs_models_in: int | None = None
"""Number of the process that loaded a model first: this one, or one that it was forked from."""


def refuse_fork() -> None:
    """Refuses to run models in a process that was forked from one that has: it lacks that one's threads.

    Raises:
        DeviceError: it says which processes can.
    """
    global _runs_models_in
    if _runs_models_in is None:
        _runs_models_in = os.getpid()
    elif _runs_models_in != os.getpid():
        raise DeviceError(
            "this process was forked from one that has run a model, so it cannot run one; start it with "
            "multiprocessing.get_context('spawn'), or run models only in the processes that are forked"
        )


def cores() -> int:
    """Number of processor cores that this process may use; OMP_NUM_THREADS limits it, as for torch."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(here, int(limit)) if limit.isdigit() and int(limit) else here
