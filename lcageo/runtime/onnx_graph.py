"""The ONNX graph of a model, made of its structure and its weights, and cached for the user.

Shipped models have their structure with them; for any other, torch exports it once.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from lcageo.errors import DeviceError
from lcageo.extras import require
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.onnx_structure import filled, read_structure, structure_key, structure_path

ABANDONED_S = 3600
"""Age from which a part of a file is that of a killed process: writing one takes a second."""
EXPORTERS = ("torch", "onnx", "onnxscript")
"""Packages that export a graph."""
_DIGEST_BYTES = hashlib.sha256().digest_size
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
        require(f"running '{card.weights}'", None, "onnx", error=DeviceError)
        from lcageo.runtime.onnx_adapter import adapted

        return adapted(weights, card)
    if card.is_graph:
        return weights
    path = _path(card)
    if (kept := read_kept(path)) is not None:
        return kept
    structure = read_structure(card)
    if structure is None:
        what = f"making the graph of model '{card.name}' for tiles of {card.tile_size} pixels"
        require(what, "torch", *EXPORTERS, error=DeviceError)
        from lcageo.runtime.onnx_export import export_structure

        structure = export_structure(card)
    content = filled(structure, card, weights)
    with suppress(OSError):  # without a writable cache, the graph is exported at every start
        keep(content, path)
    return content


def must_export(card: ModelCard) -> bool:
    """Whether the graph has to be exported first, which takes about twenty seconds, and can be."""
    ready = card.is_graph or _path(card).is_file() or structure_path(card).is_file()
    return not ready and all(find_spec(package) is not None for package in EXPORTERS)


def _path(card: ModelCard) -> Path:
    return cache_folder() / f"{card.name}-{_key(card)}.graph"


def cache_folder() -> Path:
    """Folder for graphs between runs, and for journals of runs that write no file."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    import platformdirs  # here, because a GPU node may lack it, and caches no graphs

    return platformdirs.user_cache_path("lcageo")


def _key(card: ModelCard) -> str:
    """Hash of everything that determines the graph."""
    return hashlib.sha256(f"{card.sha256} {structure_key(card)}".encode()).hexdigest()[:16]


def read_kept(path: Path) -> bytes | None:
    """What `keep` wrote; None if it is not there, or damaged: a graph with zeros in it may give other scores."""
    try:
        written = path.read_bytes()
    except OSError:
        return None
    digest, content = written[:_DIGEST_BYTES], written[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def keep(content: bytes, path: Path) -> None:
    """Writes a file for `read_kept`: the SHA-256 of the content before the content."""
    write_whole(hashlib.sha256(content).digest() + content, path)


def write_whole(content: bytes, path: Path) -> None:
    """Writes a file, all or nothing, even if two processes write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in path.parent.glob(f"*{path.suffix}.*.part"):
        if time.time() - abandoned.stat().st_mtime > ABANDONED_S:
            abandoned.unlink()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
