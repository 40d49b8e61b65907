"""The ONNX graph of a model, exported once by torch and cached for the user: later starts do not need torch."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from lcageo.errors import DeviceError
from lcageo.extras import require
from lcageo.runtime.catalog import ModelCard

GRAPH_VERSION = 1
"""To be incremented when the same card gives another graph."""
ABANDONED_S = 3600
"""Age from which a part of a file is that of a killed process: writing one takes a second."""
CACHE_VARIABLE = "LCAGEO_CACHE"
"""Environment variable that sets another cache folder."""


def onnx_graph(card: ModelCard) -> bytes:
    """A model's graph: `images` (1, 3, S, S) uint8 to `scores` (1, N, K) and `boxes` (1, N, 4) float32, tile pixels.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.
        DeviceError: if it has to be exported and the packages for that are not installed.
    """
    weights = card.read_weights()  # checked even if the graph is cached
    if card.layout is not None:
        require(f"running '{card.weights}'", "onnx", "onnx", error=DeviceError)
        from lcageo.runtime.onnx_adapter import adapted

        return adapted(weights, card)
    if card.is_graph:
        return weights
    path = _path(card)
    with suppress(OSError):
        return path.read_bytes()
    require("exporting the model's ONNX graph", "onnx", "onnx", "onnxscript", error=DeviceError)
    from lcageo.runtime.onnx_export import export_detector

    content = export_detector(card)
    with suppress(OSError):  # without a writable cache, the graph is exported at every start
        _keep(content, path)
    return content


def can_be_made() -> bool:
    """Whether the packages that export a graph are installed."""
    return find_spec("onnx") is not None and find_spec("onnxscript") is not None


def is_kept(card: ModelCard) -> bool:
    """Whether the graph is cached; exporting it takes about twenty seconds."""
    return card.is_graph or _path(card).is_file()


def _path(card: ModelCard) -> Path:
    return cache_folder() / f"{card.name}-{_key(card)}.onnx"


def cache_folder() -> Path:
    """Folder for graphs between runs, and for journals of runs that write no file."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    import platformdirs  # here, because a GPU node may lack it, and caches no graphs

    return platformdirs.user_cache_path("lcageo")


def _key(card: ModelCard) -> str:
    """Hash of everything that determines the graph."""
    parts = [GRAPH_VERSION, card.sha256, asdict(card.own_network), card.tile_size, card.mean, card.std]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _keep(content: bytes, path: Path) -> None:
    """Writes the complete file or nothing, even if two processes write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in path.parent.glob("*.onnx.*.part"):
        if time.time() - abandoned.stat().st_mtime > ABANDONED_S:
            abandoned.unlink()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
