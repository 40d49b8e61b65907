"""Everything that decides what a run finds in a scene, so that parts of different runs are never mixed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lcageo.config import DetectConfig
from lcageo.inference.plan import ScenePlan
from lcageo.inference.runner import TileRunner
from lcageo.remote import is_remote, key
from lcageo.runtime.catalog import ModelCard
from lcageo.version import __version__

AUXILIARY = ".aux.xml"
"""What GDAL appends to a raster's name for the file of what its format cannot hold."""
HEADER_BYTES = 1 << 16
"""Number of bytes hashed to distinguish a file from another of the same size and time."""


def run_identity(plan: ScenePlan, runner: TileRunner, config: DetectConfig) -> dict[str, Any]:
    """Scene, model, parameters and what follows from them, JSON-ready, under names that users understand.

    The batch size is part of it because the results of convolutions depend on it in their last bits.
    """
    card, grid, scene = runner.card, plan.grid, plan.reader.scene
    parameters = config.for_model(card.iou).parameters()
    edge = plan.reader.edge
    address = scene.info.path if scene.info.address.startswith("<") else scene.info.address  # a basemap's definition
    files = file_identity(sorted({address, *scene.files()}))
    return {
        **{f"file {name}": value for name, value in files.items()},
        "the scene's grid": [scene.info.width, scene.info.height, scene.info.dtype, scene.info.mask],
        "the scene's pixel in metres": scene.info.pixel_size_m,
        "--batch": runner.batch,
        "model": card.name,
        "model's SHA-256": card.sha256,
        "--backend": runner.engine.backend,
        "--precision": runner.engine.precision,
        "device": runner.engine.device,
        "version": __version__,
        **{f"--{name.replace('_', '-')}": value for name, value in parameters.items()},
        "model card": hashlib.sha256(json.dumps(model_identity(card), sort_keys=True).encode()).hexdigest()[:16],
        "tile": [plan.reader.tile_size, len(grid.col_starts), len(grid.row_starts), grid.scale],
        "passes": [
            [one.grid.scale, one.reader.tile_size, len(one.grid), *map(str, one.lengths_px), one.near_small]
            for one in plan.further
        ],
        "area": hashlib.sha256(plan.wanted.tobytes() + (b"" if plan.aoi is None else plan.aoi.wkb)).hexdigest()[:16],
        "stretch": [plan.reader.stretch.low, plan.reader.stretch.high],
        "collar": None if edge is None else hashlib.sha256(edge.all_cells.tobytes()).hexdigest()[:16],
    }


def run_name(identity: Mapping[str, Any]) -> str:
    """A short name, shared by all runs that must find the same objects."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def file_identity(files: Sequence[str]) -> dict[str, Any]:
    """Size, time and header hash of files, by `remote.key`, to notice changes; None for those not on a disk.

    Statistics that other programs add to a scene are no change: QGIS writes them beside a raster that it opens.
    """
    found: dict[str, Any] = {}
    for name in files:
        path = key(name)
        if path.endswith(AUXILIARY) and (said := _without_statistics(Path(path))) is not None:
            if said:
                found[path] = [hashlib.sha256(said.encode()).hexdigest()[:16]]
            continue
        found[path] = None
        with suppress(OSError):  # not on a disk, or not readable: whatever opens it will report that
            status = Path(path).stat()
            with Path(path).open("rb") as content:
                header = hashlib.sha256(content.read(HEADER_BYTES)).hexdigest()
            found[path] = [status.st_size, status.st_mtime_ns, header[:16]]
    return found


def _without_statistics(path: Path) -> str | None:
    """What GDAL's auxiliary file says besides statistics, as XML; empty: nothing. None if it cannot be read."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    for parent in list(root.iter()):
        for child in list(parent):
            is_statistic = child.tag == "MDI" and child.get("key", "").startswith("STATISTICS_")
            if is_statistic or child.tag == "Histograms":
                parent.remove(child)
    for tag in ("Metadata", "PAMRasterBand"):  # what the statistics alone were in
        for child in [one for parent in root.iter() for one in parent if one.tag == tag and not len(one)]:
            next(parent for parent in root.iter() if child in list(parent)).remove(child)
    return ElementTree.canonicalize(ElementTree.tostring(root), strip_text=True) if len(root) else ""


def absolute(path: str) -> str:
    """The absolute path, to open it from any folder; URLs and GDAL's own paths, such as /vsis3/, stay as they are."""
    return path if is_remote(path) else str(Path(path).absolute())


def model_identity(card: ModelCard) -> dict[str, Any]:
    """The part of a model's card that decides what it finds, JSON-ready."""
    descriptive = ("name", "weights", "licence", "restriction", "trained_on", "metrics", "recipe")
    return {name: value for name, value in asdict(card).items() if name not in descriptive}
