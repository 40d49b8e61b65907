"""Reading tensors from files without running code, and loading them into a backbone."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lcageo.detector.backbone import ResNet
from lcageo.errors import ModelError

_NAMES_SHOWN = 6

# torch's weights-only unpickler checks what it may run, not whether a file is whole: damage shows as whatever the
# next instruction stumbles over.
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


def load_backbone_weights(backbone: ResNet, path: Path) -> None:
    """Fills a backbone from a torchvision checkpoint of the same ResNet (.pth, .pt or .safetensors).

    The checkpoint's classifier (`fc.*`) is left over; nothing is changed if anything else does not fit.

    Args:
        backbone: the network's ResNet.
        path: file of named tensors.

    Raises:
        ModelError: if the file cannot be read without running code, or its names or shapes differ.
    """
    found = {name: tensor for name, tensor in read_tensors(path).items() if not name.startswith("fc.")}
    expected = backbone.state_dict()
    missing = sorted(name for name in expected.keys() - found.keys() if not _is_counter(name))
    unexpected = sorted(name for name in found.keys() - expected.keys() if not _is_counter(name))
    if missing or unexpected:
        raise ModelError(
            f"weights '{path}' do not fit the backbone: "
            f"missing {_listing(missing)}; unexpected {_listing(unexpected)}; "
            "give the checkpoint of the same ResNet (a gn backbone cannot take batch norm weights)"
        )
    for name, tensor in found.items():
        if name in expected and tensor.shape != expected[name].shape:
            raise ModelError(
                f"weights '{path}' do not fit the backbone: {name} is {tuple(tensor.shape)} in the file and "
                f"{tuple(expected[name].shape)} in the network; choose the backbone and backbone_width of the file"
            )
    backbone.load_state_dict(found, strict=False)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file, on the CPU; pickled code in it is refused.

    Args:
        path: .safetensors, or anything that `torch.save` wrote from a flat dict of tensors.

    Raises:
        ModelError: if the file is missing, is no such file, or holds anything but tensors.
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
        raise ModelError(f"weights '{path}' hold more than named tensors; save only the model's state_dict")
    return content


def _is_counter(name: str) -> bool:
    """Batch norm's step counter: absent from older checkpoints, and without use here."""
    return name.endswith("num_batches_tracked")


def _listing(names: list[str]) -> str:
    """The first few names, and how many more."""
    if not names:
        return "nothing"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
