"""Checkpoints: everything needed to resume a run as if it had never stopped, in one file that is always intact."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from lcageo.errors import ModelError, OutputError
from lcageo.paths import make_durable


def save_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Writes tensors, numbers, strings, and dicts and lists of them; `path` always holds the old or the new content.

    Raises:
        OutputError: if it cannot be written, as on a full disk.
    """
    written = path.with_name(path.name + ".part")
    try:
        with written.open("wb") as file:
            torch.save(content, file)
        make_durable(written)
        written.replace(path)
    except (OSError, RuntimeError) as error:  # torch's zip writer raises RuntimeError if a write fails
        if written.is_file():
            written.unlink()
        intact = "; the previous one is intact" if path.exists() else ""
        raise OutputError(f"checkpoint '{path}' cannot be written: {error}{intact}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Loads what `save_checkpoint` wrote, to the CPU; no code in the file is run.

    Raises:
        ModelError: if it is damaged or holds anything else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"checkpoint '{path}' is damaged or not an lcageo checkpoint ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"checkpoint '{path}' is not an lcageo checkpoint; it holds a {type(content).__name__}")
    return content
