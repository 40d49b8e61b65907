"""The ONNX graph of a model, made once by torch and kept in the user's cache: later starts do without torch."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from lcageo.errors import DeviceError
from lcageo.runtime.catalog import ModelCard

GRAPH_VERSION = 1
"""Raised when the same card gives another graph."""
CACHE_VARIABLE = "LCAGEO_CACHE"
"""Names another folder for what is kept between runs."""


def onnx_graph(card: ModelCard) -> bytes:
    """A model's graph: `images` (1, 3, S, S) uint8 to `scores` (1, N, K) and `boxes` (1, N, 4) float32, tile pixels.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.
        DeviceError: if it has to be made and what makes it is not installed.
    """
    weights = card.read_weights()  # checked also where the graph is at hand
    if card.is_quantised:
        return weights
    path = _path(card)
    with suppress(OSError):
        return path.read_bytes()
    if not can_be_made():
        raise DeviceError("making the model's ONNX graph needs onnx and onnxscript: pip install 'lcageo[onnx]'")
    from lcageo.runtime.onnx_export import export_detector

    content = export_detector(card)
    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        _keep(content, path)
    return content


def can_be_made() -> bool:
    """Whether what makes a graph is installed."""
    return find_spec("onnx") is not None and find_spec("onnxscript") is not None


def is_kept(card: ModelCard) -> bool:
    """Whether the graph is at hand; making it takes some twenty seconds."""
    return card.is_quantised or _path(card).is_file()


def _path(card: ModelCard) -> Path:
    return cache_folder() / f"{card.name}-{_key(card)}.onnx"


def cache_folder() -> Path:
    """Where graphs are kept between runs, and journals of runs without a file."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    import platformdirs  # here, because a GPU node may lack it, and keeps no graphs

    return platformdirs.user_cache_path("lcageo")


def _key(card: ModelCard) -> str:
    """Of all that decides the graph."""
    parts = [GRAPH_VERSION, card.sha256, asdict(card.network), card.tile_size, card.mean, card.std]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _keep(content: bytes, path: Path) -> None:
    """All of it or nothing, also when two processes write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
