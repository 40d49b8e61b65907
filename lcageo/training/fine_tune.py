"""Starts from another model's weights: all of them, and of the class layer the rows of the classes in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from lcageo.detector.network import Network
from lcageo.errors import ModelError

CLASS_WEIGHT, CLASS_BIAS = "head.class_logits.weight", "head.class_logits.bias"
"""The one layer whose size depends on the classes; row a * K + k is class k of anchor a, in every head."""
_MISFITS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class FineTuneSummary:
    """What was loaded from the other model."""

    tensors: int
    """Number of tensors loaded, the class layer's included."""
    kept: tuple[str, ...]
    """Classes that continue from the loaded weights."""
    new: tuple[str, ...]
    """Classes that start from scratch."""
    dropped: tuple[str, ...]
    """Classes of the weights that the network does not have."""

    def __str__(self) -> str:
        groups = {"classes kept": self.kept, "new": self.new, "left out": self.dropped}
        named = [f"{what}: {', '.join(names)}" for what, names in groups.items() if names]
        return "; ".join((f"{self.tensors} tensors loaded", *named))


def load_for_fine_tuning(
    network: Network, old_classes: Sequence[str], new_classes: Sequence[str], weights: Mapping[str, Tensor]
) -> FineTuneSummary:
    """Loads weights of a model with other classes into a network; changes nothing if anything does not fit.

    Args:
        network: a network with initial values, which new classes keep.
        old_classes: the weights' classes, in their order.
        new_classes: the network's.
        weights: all tensors of a network that differs from this one only in its classes.

    Raises:
        ModelError: if a tensor is missing, unexpected, or of another shape.
    """
    fresh = network.state_dict()
    anchors = len(fresh[CLASS_BIAS]) // len(new_classes)
    expected = {name: tuple(tensor.shape) for name, tensor in fresh.items()}
    for name in (CLASS_WEIGHT, CLASS_BIAS):
        expected[name] = (anchors * len(old_classes), *expected[name][1:])
    _check(weights, expected)

    kept = [name for name in new_classes if name in old_classes]
    sources = [old_classes.index(name) for name in kept]
    places = [new_classes.index(name) for name in kept]
    taken = dict(weights)
    for name in (CLASS_WEIGHT, CLASS_BIAS):
        shape = fresh[name].shape[1:]
        rows = fresh[name].clone().reshape(anchors, len(new_classes), *shape)
        known = weights[name].reshape(anchors, len(old_classes), *shape)
        rows[:, places] = known[:, sources].to(rows)
        taken[name] = rows.flatten(0, 1)
    network.load_state_dict(taken)
    return FineTuneSummary(
        tensors=len(taken),
        kept=tuple(kept),
        new=tuple(name for name in new_classes if name not in old_classes),
        dropped=tuple(name for name in old_classes if name not in new_classes),
    )


def _check(weights: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Rejects weights whose names or shapes are not the expected ones."""
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    misfits = [
        f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'expected')}"
        for name in [*expected, *sorted(found.keys() - expected.keys())]
        if found.get(name) != expected.get(name)
    ]
    if misfits:
        more = f" (and {len(misfits) - _MISFITS_SHOWN} more)" if len(misfits) > _MISFITS_SHOWN else ""
        raise ModelError(
            f"weights to start from do not fit the network: {'; '.join(misfits[:_MISFITS_SHOWN])}{more}; "
            "choose the preset, backbone, norm and widths of the model they come from"
        )
