"""Reads tensors from files without running code, and loads them into a backbone."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lcageo.detector.backbone import Backbone
from lcageo.errors import ModelError

# torch's weights-only unpickler checks what it may run, not whether a file is intact: a damaged file raises whatever
# the next instruction fails with.
_UNREADABLE = (
    pickle.UnpicklingError,
    SafetensorError,
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def load_backbone_weights(backbone: Backbone, path: Path) -> Sequence[str]:
    """Fills a backbone from a checkpoint file of its family (.pth, .pt or .safetensors).

    Nothing is changed if anything does not fit.

    Args:
        backbone: the network's.
        path: file of named tensors.

    Returns:
        Warnings, as in `Backbone.load`.

    Raises:
        ModelError: if the file cannot be read without running code, or its names or shapes differ.
    """
    tensors = read_tensors(path)
    try:
        return backbone.load(tensors)
    except ModelError as error:
        raise ModelError(f"weights '{path}' do not fit the backbone: {error}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file, on the CPU; a file with pickled code is refused.

    Args:
        path: .safetensors, or a flat dict of tensors written by `torch.save`.

    Raises:
        ModelError: if the file is missing, unreadable, or contains anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"weights '{path}' do not exist; check the path") from error
    except _UNREADABLE as error:
        raise ModelError(
            f"weights '{path}' cannot be read as plain tensors; save a state_dict, or convert it to .safetensors"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise ModelError(f"weights '{path}' contain more than named tensors; save only the model's state_dict")
    return content
