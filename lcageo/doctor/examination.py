"""What this machine and this installation can do, and the commands that add what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from lcageo.config import Backend, DetectConfig
from lcageo.errors import LcageoError, UsageError
from lcageo.extras import require
from lcageo.plural import plural
from lcageo.runtime import machine
from lcageo.runtime.catalog import find_card
from lcageo.runtime.onnx_graph import cache_folder
from lcageo.runtime.predictor import load_predictor
from lcageo.scene import gdal
from lcageo.version import __version__

MEGABYTE = 1_000_000
REQUIRED = ("numpy", "rasterio", "geopandas", "pyogrio", "shapely", "pyproj", "pyarrow", "safetensors", "onnx")
OPTIONAL = {
    "openvino": ("the fastest backend on CPUs", "pip install openvino"),
    "onnxruntime": ("another backend for CPUs", 'pip install "lcageo[onnx]"'),
    "torch": ("GPUs, and for graphs of own models", 'pip install "lcageo[torch]"'),
    "faster-coco-eval": ("training and measuring models", 'pip install "lcageo[train]"'),
    "distributed": ("clusters", 'pip install "lcageo[cluster]"'),
    "psycopg": ("PostGIS", 'pip install "lcageo[postgis]"'),
}
"""What each package is for, and the command that installs it."""
LITTLE_MEMORY_MB, LITTLE_DISK_MB = 1000, 500
"""Below this, a run may not fit: it takes some 600 MB, and its journal and results as much disk as they have objects.
"""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not there, or does not work."""

    what: str
    effect: str
    """What cannot be done, or what goes wrong."""
    remedy: str
    """A command, or what to do."""


@dataclass(frozen=True, slots=True)
class Device:
    """A processor or GPU that can run models."""

    name: str
    """As --device takes it."""
    description: str


@dataclass(frozen=True, slots=True)
class Health:
    """What was found."""

    lcageo: str
    python: str
    executable: str
    """The Python that runs lcageo: the commands in `missing` are for its environment."""
    platform: str
    packages: dict[str, str | None]
    """Versions; None: not installed."""
    gdal: str
    drivers: dict[str, bool]
    """GDAL's drivers of the usual formats, and whether they are there."""
    proj: str
    proj_grids: list[str]
    proj_network: bool
    """Whether PROJ fetches grids that it lacks."""
    devices: list[Device]
    backends: dict[str, bool]
    """What could run models, and whether it is installed."""
    chosen: str | None
    """What runs the default model; None if nothing can."""
    model: str | None
    """Name of the default model; None if there is none."""
    cache: str
    cache_mb: float
    memory_free_mb: float
    memory_total_mb: float
    disk_free_mb: float
    """On the disk of the current folder."""
    missing: list[Missing]
    """The first ones prevent detection if `chosen` is None; the others do not."""


def examine() -> Health:
    """Looks at everything that detection depends on; loads the default model, which takes some seconds."""
    model, chosen, failures = _default_model()
    packages = {name: _version(name) for name in (*REQUIRED, *OPTIONAL)}
    drivers, memory, cache = gdal.has_driver(), psutil.virtual_memory(), cache_folder()
    grids, fetches = gdal.proj_grids(), gdal.fetches_grids()
    disk_mb = shutil.disk_usage(Path.cwd()).free / MEGABYTE
    missing = [*failures, *_missing_packages(packages), *_missing_drivers(drivers)]
    if not grids and not fetches:
        effect = "positions may be off by metres from one datum to another; a warning says so where it matters"
        missing.append(Missing("grids of PROJ", effect, "pyproj sync --file NAME, as the warning says"))
    if not _is_writable(cache):
        effect = "graphs are made and compiled again at every start"
        missing.append(Missing(f"a cache: '{cache}' cannot be written to", effect, "set LCAGEO_CACHE to a folder"))
    if memory.available / MEGABYTE < LITTLE_MEMORY_MB:
        missing.append(Missing("memory", "a run may be slow or fail", "close other programs, or use --max-memory"))
    if disk_mb < LITTLE_DISK_MB:
        missing.append(Missing("disk space", "results may not fit", "free space here, or use another folder"))
    return Health(
        lcageo=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        packages=packages,
        gdal=gdal.gdal_version(),
        drivers=drivers,
        proj=gdal.proj_version(),
        proj_grids=grids,
        proj_network=fetches,
        devices=_devices(),
        backends={str(one): machine.has_package(one) for one in machine.PACKAGE},
        chosen=chosen,
        model=model,
        cache=str(cache),
        cache_mb=round(_size_mb(cache), 1),
        memory_free_mb=round(memory.available / MEGABYTE),
        memory_total_mb=round(memory.total / MEGABYTE),
        disk_free_mb=round(disk_mb),
        missing=missing,
    )


def _default_model() -> tuple[str | None, str | None, list[Missing]]:
    """The default model's name, what runs it, and why nothing does."""
    try:
        card = find_card(None)
    except LcageoError as error:
        return None, None, [Missing("a model", str(error), "install lcageo again")]
    try:
        return card.name, str(load_predictor(card, DetectConfig()).engine), []
    except LcageoError as error:
        return card.name, None, [Missing("what runs models", str(error), OPTIONAL["onnxruntime"][1])]


def _missing_packages(packages: dict[str, str | None]) -> list[Missing]:
    return [
        Missing(name, f"needed for {use}", command)
        for name, (use, command) in OPTIONAL.items()
        if packages[name] is None
    ]


def _missing_drivers(drivers: dict[str, bool]) -> list[Missing]:
    return [
        Missing(f"GDAL's driver {name}", "scenes of this format cannot be read", "convert them to GeoTIFF elsewhere")
        for name, is_there in drivers.items()
        if not is_there
    ]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> list[Device]:
    cpu = Device(
        "cpu", f"{platform.processor() or platform.machine()}, {plural(machine.cores(), 'core')} for this process"
    )
    if not machine.may_have_gpu() or not machine.has_package(Backend.TORCH):
        return [cpu]
    try:
        require("looking for GPUs", "torch", "torch")
    except UsageError:
        return [cpu]
    from lcageo.runtime.torch_backend import gpu_descriptions

    return [cpu, *(Device(name, text) for name, text in gpu_descriptions().items())]


def _is_writable(folder: Path) -> bool:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE
