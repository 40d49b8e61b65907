"""Compiled graphs, cached for the user: compiling takes more than twice as long as loading what was compiled before."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lcageo.runtime.onnx_graph import cache_folder, keep, read_kept

MOST_BYTES = 500_000_000
"""Size that the compiled graphs may have together; the one that was used last is kept whatever its size."""
SUFFIX = ".compiled"


def compiled_path(name: str, graph: bytes, made_by: object) -> Path:
    """Where the compiled form of a graph is cached.

    Args:
        name: of the model, for whoever looks into the folder.
        graph: the graph in ONNX.
        made_by: everything else that determines the compiled form, such as the backend's version, the processor and
            the settings; its `repr` counts.
    """
    key = hashlib.sha256(hashlib.sha256(graph).digest() + repr(made_by).encode()).hexdigest()[:16]
    return cache_folder() / "compiled" / f"{name}-{key}{SUFFIX}"


def read_compiled(path: Path) -> bytes | None:
    """A compiled graph from the cache; None if it is not there, or damaged: a backend may crash on such a one."""
    compiled = read_kept(path)
    with suppress(OSError):
        os.utime(path)  # `_forget_others` removes those that were not used for the longest time
    return compiled


def keep_compiled(export: Callable[[], bytes], path: Path) -> None:
    """Caches a compiled graph, if it can be exported and the folder can be written to."""
    with suppress(OSError, RuntimeError):  # backends raise RuntimeError
        keep(export(), path)
        _forget_others(path)


def _forget_others(kept: Path) -> None:
    """Removes the compiled graphs that were used least recently, down to MOST_BYTES."""
    files = [(path, path.stat()) for path in kept.parent.glob(f"*{SUFFIX}")]
    files.sort(key=lambda file: (file[0] == kept, file[1].st_mtime_ns), reverse=True)
    total = 0
    for path, about in files:
        total += about.st_size
        if total > MOST_BYTES and path != kept:
            path.unlink(missing_ok=True)
