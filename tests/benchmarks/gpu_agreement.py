"""Compares GPU and lower-precision results with float32 on the CPU: objects, scores, boxes and mAP.

    python tests/benchmarks/gpu_agreement.py --val VHR10/val.json --out runs/gpu-agree

Every object that one side detects at the model's thresholds is searched on the other side at any score, since scores
that differ in the last digit may be on both sides of a threshold. Detections are kept in OUT; run the same command
again to complete missing ones. The results are in OUT/agreement.json and agreement.md.

Without a GPU, float32 and bfloat16 on the CPU are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lcageo.config import BENCHMARK, Backend, MergeMetric, Precision
from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.sets import read_sets
from lcageo.detections import Detections
from lcageo.evaluation.images import evaluate_found, find_objects, kept_of_tiles
from lcageo.nms import overlap
from lcageo.runtime.catalog import DEFAULT_MODEL, ModelCard, find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.runtime.torch_backend import torch_device

SAME_IOU = 0.5
REFERENCE = "cpu-fp32"


def ways(device: torch.device) -> dict[str, tuple[str, Precision, bool]]:
    """Name of each way -> device, precision, and whether convolutions may use TF32, PyTorch's default."""
    both: dict[str, tuple[str, Precision, bool]] = {REFERENCE: ("cpu", Precision.FP32, False)}
    if device.type == "cpu":
        return both | {"cpu-bf16": ("cpu", Precision.BF16, False)}
    return both | {
        "gpu-fp32": (str(device), Precision.FP32, True),
        "gpu-fp32-unrounded": (str(device), Precision.FP32, False),
        "gpu-bf16": (str(device), Precision.BF16, True),
    }


def found_by(way: tuple[str, Precision, bool], card: ModelCard, labelled: LabelledSet, kept: Path) -> list[Detections]:
    """Detections of a way in each image; read from `kept` if that exists."""
    if kept.exists():
        with np.load(kept, allow_pickle=False) as arrays:
            every = Detections(arrays["boxes_xyxy"], arrays["scores"], arrays["labels"])
            ends = arrays["counts"].cumsum().tolist()
        return [every.selected(slice(start, end)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    device, precision, tf32 = way
    torch.backends.cudnn.allow_tf32 = tf32
    predictor = load_predictor(card, kept_of_tiles(BENCHMARK), device, Backend.TORCH, precision)
    found = find_objects(predictor, labelled)
    every = Detections.joined(found)
    part = kept.with_name("part.npz")
    np.savez_compressed(
        part, boxes_xyxy=every.boxes_xyxy, scores=every.scores, labels=every.labels,
        counts=np.array([len(one) for one in found]),
    )  # fmt: skip
    part.replace(kept)
    return found


def shown(found: Detections, card: ModelCard) -> Detections:
    """What `detect` would write: objects at or above the threshold of their class."""
    thresholds = np.array(list(card.least_scores(None).values()))
    return found.selected(found.scores >= thresholds[found.labels])


def differences(ours: Detections, theirs: Detections) -> list[tuple[float, float]]:
    """Differences of each of our objects from its match in `theirs`: in score, and the maximum of its sides, pixels.

    Infinite without a match.
    """
    pairs = []
    for box, score, label in zip(ours.boxes_xyxy, ours.scores, ours.labels, strict=True):
        same = theirs.selected(theirs.labels == label)
        shares = overlap(same.boxes_xyxy.astype(np.float64), box[None].astype(np.float64), MergeMetric.IOU)
        if not len(same) or shares.max() < SAME_IOU:
            pairs.append((float("inf"), float("inf")))
            continue
        best = int(shares.argmax())
        pairs.append((abs(float(same.scores[best] - score)), float(np.abs(same.boxes_xyxy[best] - box).max())))
    return pairs


def compared(found: list[Detections], reference: list[Detections], card: ModelCard) -> dict[str, Any]:
    """Compares in both directions, so that missing and additional objects count."""
    pairs: list[tuple[float, float]] = []
    for ours, theirs in zip(found, reference, strict=True):
        pairs += differences(shown(ours, card), theirs) + differences(shown(theirs, card), ours)
    every = np.array(pairs, np.float64).reshape(-1, 2)
    met = every[np.isfinite(every[:, 0])]
    return {
        "objects": len(every),
        "without_match": len(every) - len(met),
        "score_difference": _spread(met[:, 0]),
        "box_difference_px": _spread(met[:, 1]),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {"median": 0.0, "p99": 0.0, "greatest": 0.0}
    return {
        "median": float(np.median(values)),
        "p99": float(np.quantile(values, 0.99)),
        "greatest": float(values.max()),
    }


def markdown(figures: dict[str, Any]) -> str:
    """The table as Markdown."""
    lines = [
        f"`{figures['model']}` on {figures['images']} images; {figures['device']}, torch {figures['torch']}.",
        "",
        "| way | objects | without match | score difference (median, 99 %, max) | box, px | mAP50 | mAP50:95 |",
        "|---" * 7 + "|",
    ]
    for name, one in figures["ways"].items():
        score, box = (
            ", ".join(f"{one[what][which]:.4f}" for which in ("median", "p99", "greatest"))
            for what in ("score_difference", "box_difference_px")
        )
        lines.append(
            f"| {name} | {one['objects']} | {one['without_match']} | {score} | {box} | {one['mAP50']:.4f} "
            f"| {one['mAP50_95']:.4f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Compares all ways and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--val", type=Path, required=True, help="COCO file")
    parser.add_argument(
        "--images", type=int, default=50, help="number of images, taken evenly from the file (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    card = find_card(arguments.model)
    labelled = read_sets([arguments.val], SplitName.VAL, card.classes)
    indices = np.unique(np.linspace(0, len(labelled) - 1, min(arguments.images, len(labelled))).round().astype(int))
    labelled = replace(labelled, annotations=tuple(labelled.annotations[index] for index in indices.tolist()))
    device = torch_device("auto")
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = {
        name: found_by(way, card, labelled, arguments.out / f"{card.name}-{len(labelled)}-{name}.npz")
        for name, way in ways(device).items()
    }
    figures: dict[str, Any] = {
        "model": card.name, "images": len(labelled), "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "ways": {},
    }  # fmt: skip
    for name, some in found.items():
        evaluation = evaluate_found(labelled, some)
        figures["ways"][name] = compared(some, found[REFERENCE], card) | {
            "mAP50": evaluation.map50, "mAP50_95": evaluation.map50_95
        }  # fmt: skip
    (arguments.out / "agreement.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    table = markdown(figures)
    (arguments.out / "agreement.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
