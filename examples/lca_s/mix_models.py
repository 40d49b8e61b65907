"""Interpolates the weights of two models of one network, one of which was fine-tuned from the other.

    python examples/lca_s/mix_models.py OLD NEW build/mixed --share 0.45 --class-share 0.6 --box-share 0
        --row "storage tank=1"

Models between the original and the fine-tuned weights keep most of what the original knew and have most of what the
other learned. Shares are those of NEW: in all weights, in the head's class branch, in its box branch, and in the rows
of single classes in the last layer. The result is a model folder for detect, evaluate and ship_model.py.

Source:
    Wortsman et al., "Robust fine-tuning of zero-shot models" (2022): linear interpolation of weights.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from lcageo.runtime.catalog import FOLDER_CARD, ModelCard, find_card, write_card

CLASS_BRANCH = ("head.class_task.", "head.class_logits.", "head.probability.")
BOX_BRANCH = ("head.box_task.", "head.log_distances.", "head.offsets.", "head.scales")
LAST_LAYER = "head.class_logits."


def mixed(
    old: ModelCard, new: ModelCard, shares: tuple[float, float, float], rows: dict[str, float]
) -> dict[str, Tensor]:
    """Interpolates between the weights of two models.

    Args:
        old: the model at share 0.
        new: the model at share 1, with the same network and classes.
        shares: for all weights, for the class branch, for the box branch.
        rows: shares for single classes, by name, in the class branch's last layer.

    Raises:
        SystemExit: if the models differ in network or classes, or lack a class of `rows`.
    """
    if (old.network, old.classes) != (new.network, new.classes):
        raise SystemExit(f"'{old.name}' and '{new.name}' differ in network or classes; choose models with equal ones")
    unknown = sorted(set(rows) - set(old.classes))
    if unknown:
        raise SystemExit(f"--row: there is no class {', '.join(unknown)}; the models have {', '.join(old.classes)}")
    first, second = (safetensors.torch.load(card.read_weights()) for card in (old, new))
    general, of_classes, of_boxes = shares
    result = {}
    for name, before in first.items():
        after = second[name]
        if not before.is_floating_point():
            result[name] = after
            continue
        part = of_classes if name.startswith(CLASS_BRANCH) else of_boxes if name.startswith(BOX_BRANCH) else general
        share = torch.full((len(before), *[1] * (before.dim() - 1)), part) if before.dim() else torch.tensor(part)
        if name.startswith(LAST_LAYER):
            for label, value in rows.items():
                share[old.classes.index(label)] = value
        result[name] = torch.lerp(before.float(), after.float(), share.expand_as(before))
    return result


def row(text: str) -> tuple[str, float]:
    """'storage tank=1' -> ('storage tank', 1.0)."""
    name, _, share = text.partition("=")
    return name, float(share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="a model's name, card or folder")
    parser.add_argument("new", help="the model that was fine-tuned from it")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--class-share", type=float, help="default: --share")
    parser.add_argument("--box-share", type=float, help="default: --share")
    parser.add_argument("--row", type=row, action="append", default=[], metavar="CLASS=SHARE")
    options = parser.parse_args()
    parts = [options.share if part is None else part for part in (options.class_share, options.box_share)]
    old, new = find_card(options.old), find_card(options.new)
    weights = mixed(old, new, (options.share, parts[0], parts[1]), dict(options.row))
    content = safetensors.torch.save(weights)
    options.out.mkdir(parents=True, exist_ok=True)
    path = (options.out / "model.safetensors").absolute()
    path.write_bytes(content)
    card = replace(new, weights=path, sha256=hashlib.sha256(content).hexdigest(), thresholds={}, metrics={})
    write_card(card, options.out / FOLDER_CARD)


if __name__ == "__main__":
    main()
