"""Makes neck and head of a trained `lca` model narrower, to train it on from there: lca-s became so.

    python examples/lca_s/narrow_model.py runs/wide 64 runs/narrow
    lcageo train --from runs/narrow --channels 64 ...

Of every set of channels those stay that carry most: the norm of the weights that make a channel, or its scale where it
is normalised, times the norm of the weights that use it. Of normalised channels, whole groups stay. The backbone keeps
all. The result is a model folder, and is of use only for training.

Source:
    Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017: channels by the norm of their weights.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import torch
from change_backbone import as_start
from torch import Tensor

from lcageo.detector.presets import build_network
from lcageo.detector.weights import read_tensors
from lcageo.errors import UsageError
from lcageo.network_config import Preset
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.training.model_folder import publish

GROUP = 8
"""Channels of a group of the head's group normalisation, all of which stay or go."""
TASKS = {"class_task": "class_logits", "box_task": "log_distances"}
"""The head's tasks, and what predicts from their channels."""
SETS = (
    (r"neck\.lateral\.\d\.", "sum", None),
    (r"neck\.output\.\d\.", "level", "sum"),
    (r"neck\.p[67]\.", "level", "level"),
    (r"head\.tower\.0\.", "feature 0", "level"),
    (r"head\.(\w+_task)\.squeeze\.", r"\1 squeezed", "stack"),
    (r"head\.(\w+_task)\.excite\.", None, r"\1 squeezed"),
    (r"head\.(\w+_task)\.", r"\1", "stack"),
    (r"head\.class_logits\.", None, "class_task"),
    (r"head\.log_distances\.", None, "box_task"),
    (r"head\.(probability|offsets)\.reduce\.", r"\1", "stack"),
    (r"head\.(probability|offsets)\.predict\.", None, r"\1"),
)
"""For names of tensors, the sets of channels that they make and use; `stack` is all features of the tower."""


def sets_of(name: str) -> tuple[str | None, str | None]:
    """The sets of channels that a tensor makes and uses; None where their number stays."""
    if later := re.match(r"head\.tower\.([1-9]\d*)\.", name):
        number = int(later[1])
        return f"feature {number}", f"feature {number - 1}"
    for pattern, makes, uses in SETS:
        if found := re.match(pattern, name):
            return (found.expand(makes) if makes else None), (found.expand(uses) if uses else None)
    return None, None


def narrowed(card: ModelCard, channels: int) -> tuple[ModelCard, dict[str, Tensor]]:
    """The card and the weights of a model with fewer channels in neck and head.

    Raises:
        UsageError: if it is not an `lca` model, or `channels` is not a multiple of 8 below its own number.
    """
    own = card.own_network
    if own.preset is not Preset.LCA or channels % GROUP or not 0 < channels <= own.channels:
        raise UsageError(f"'{card.name}' is not an lca model of more than {channels} channels, or these are no eights")
    config = replace(own, channels=channels)
    shapes = {name: tensor.shape for name, tensor in build_network(config).state_dict().items()}
    weights = {name: _as_matrix(name, tensor.float()) for name, tensor in read_tensors(card.weights).items()}
    kept = _kept(weights, own.channels, channels)
    for name, tensor in weights.items():
        makes, uses = sets_of(name)
        if makes is not None:
            tensor = tensor[kept[makes]]
        if uses is not None and tensor.ndim > 1:
            tensor = tensor[:, kept[uses]]
        weights[name] = tensor.reshape(shapes[name]).contiguous()
    return as_start(card, network=config), weights


def _as_matrix(name: str, tensor: Tensor) -> Tensor:
    """A task's weights (channels, features, channels) by what they make and the stack of features that they use."""
    return tensor.flatten(1) if re.fullmatch(r"head\.\w+_task\.weight", name) else tensor


def _kept(weights: dict[str, Tensor], before: int, channels: int) -> dict[str, Tensor]:
    """For each set, the indices of the channels that stay, in order."""
    kept = {}
    for name, importance in _importance(weights, before).items():
        group = GROUP if name.startswith("feature") or name.endswith("_task") else 1
        groups = importance.reshape(-1, group).sum(1)
        chosen = groups.topk(len(groups) * channels // before).indices.sort().values
        kept[name] = (chosen[:, None] * group + torch.arange(group)).flatten()
    convs = sum(name.startswith("feature") for name in kept)
    kept["stack"] = torch.cat([kept[f"feature {number}"] + number * before for number in range(convs)])
    return kept


def _importance(weights: dict[str, Tensor], before: int) -> dict[str, Tensor]:
    """For each set, how much each of its channels carries."""

    def norms(names: list[str], axis: int) -> Tensor:
        """Norm of the weights of each channel that these convolutions make (0) or use (1)."""
        some = [weights[f"{name}.weight"].transpose(0, axis) for name in names]
        return torch.stack([one.flatten(1).square().sum(1) for one in some]).sum(0).sqrt()

    def shares(name: str) -> Tensor:
        """Share of each channel that a layer uses in its weights: large layers should not decide alone."""
        squares = norms([name], 1).square()
        return squares / squares.sum()

    def scale(norm: str) -> Tensor:
        return weights[f"{norm}.weight"].abs() + weights[f"{norm}.bias"].abs()

    laterals, outputs = ([f"neck.{part}.{level}" for level in range(3)] for part in ("lateral", "output"))
    found = {
        "sum": norms(laterals, 0) * norms(outputs, 1),
        "level": norms(outputs, 0) * norms(["head.tower.0.0"], 1),
        "probability": norms(["head.probability.reduce"], 0),
        "offsets": norms(["head.offsets.reduce"], 0),
    }
    used = torch.stack([shares(f"head.{task}").reshape(-1, before) for task in TASKS]).sum(0)
    for number in range(len(used)):
        if number + 1 < len(used):
            used[number] += shares(f"head.tower.{number + 1}.0")
        found[f"feature {number}"] = scale(f"head.tower.{number}.1") * used[number].sqrt()
    for task, predictor in TASKS.items():
        found[task] = scale(f"head.{task}.norm") * norms([f"head.{predictor}"], 1)
        found[f"{task} squeezed"] = norms([f"head.{task}.squeeze"], 0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name, card or folder of the trained model")
    parser.add_argument("channels", type=int, help="number that stays, a multiple of 8")
    parser.add_argument("out", type=Path, help="folder to write")
    arguments = parser.parse_args()
    card, weights = narrowed(find_card(arguments.model), arguments.channels)
    publish(replace(card, name=arguments.out.name), weights, arguments.out)


if __name__ == "__main__":
    main()
