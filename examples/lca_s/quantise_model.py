"""Quantises a model to int8, the fastest form on processors with VNNI: an ONNX graph with its own card.

    python examples/lca_s/quantise_model.py lca-s models/lca-s-int8.toml --class-map examples/lca_s/lca-s-classes.toml
        --val vhr10=VHR10/val.json --val openmix=OPENMIX/val.json

Post-training quantisation: the ranges of the convolutions' inputs and outputs are measured on validation images, and
weights are scaled per channel. The card, with its metrics (measured as in ship_model.py), is written if mAP50 stays
within 0.01 of float32 on every set.

Source:
    Nagel et al., "A White Paper on Neural Network Quantization", 2021, section 3 (post-training, per channel).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime.quantization as quantization
from numpy.typing import NDArray
from onnxruntime.quantization.shape_inference import quant_pre_process
from ship_model import figures, named_path

from lcageo.config import BENCHMARK, Backend
from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.classmap import load_class_map
from lcageo.data.dataset import EvalDataset
from lcageo.data.sets import read_sets
from lcageo.evaluation.images import evaluate_found, find_objects, kept_of_tiles
from lcageo.evaluation.scenes import Tiling
from lcageo.runtime.catalog import ModelCard, find_card, write_card
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.predictor import load_predictor

CALIBRATION_IMAGES = 64
MOST_LOST = 0.01
"""Maximum loss of mAP50."""


class Images(quantization.CalibrationDataReader):  # type: ignore[misc]  # the package has no types
    """Images spread evenly over some sets, in the format of the graph's input."""

    def __init__(self, sets: list[LabelledSet], card: ModelCard, count: int) -> None:
        datasets = [EvalDataset(one, card.tile_size, enlarge=card.enlarges, fill=card.fill) for one in sets]
        share = -(-count // len(datasets))
        self._images: Iterator[NDArray[np.uint8]] = (
            dataset[int(index)].image.numpy()[None]
            for dataset in datasets
            for index in np.linspace(0, len(dataset) - 1, min(share, len(dataset)))
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next image, None after the last."""
        image = next(self._images, None)
        return None if image is None else {"images": image}


def quantised(card: ModelCard, images: Images, target: Path) -> ModelCard:
    """Writes the int8 graph beside `target` and returns its card."""
    path = target.with_suffix(".onnx").absolute()
    with tempfile.TemporaryDirectory() as folder:
        graph, prepared = Path(folder) / "graph.onnx", Path(folder) / "prepared.onnx"
        graph.write_bytes(onnx_graph(card))
        quant_pre_process(graph, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            images,
            quant_format=quantization.QuantFormat.QDQ,
            # Clip is ReLU6. Both become one with their convolutions, whose results then use all values for what passes.
            op_types_to_quantize=["Conv", "Relu", "Clip"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=with_computed_weights(onnx.load(prepared)),
        )
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(  # a graph has one size
        card, name=target.stem, weights=path, sha256=checksum, precisions=(), larger_tile_size=None
    )


def with_computed_weights(model: onnx.ModelProto) -> list[str]:
    """Convolutions whose weights depend on the image: those would be quantised for all images alike, and slowly."""
    stored = {one.name for one in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] not in stored]


def main(arguments_given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name, card or folder of a float model")
    parser.add_argument("card", type=Path, help="the card to write; the graph goes beside it")
    parser.add_argument("--val", type=named_path, action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--class-map", type=Path)
    arguments = parser.parse_args(arguments_given)
    card = find_card(arguments.model)
    class_map = load_class_map(arguments.class_map) if arguments.class_map else None
    sets = {name: read_sets([path], SplitName.VAL, card.classes, class_map) for name, path in arguments.val}
    small = quantised(card, Images(list(sets.values()), card, CALIBRATION_IMAGES), arguments.card)
    metrics, lost = {}, []
    for name, labelled in sets.items():
        for one in (card, small):
            predictor = load_predictor(one, kept_of_tiles(BENCHMARK), "cpu", Backend.OPENVINO)
            metrics[one.name, name] = figures(
                evaluate_found(labelled, find_objects(predictor, labelled, tiling=Tiling()))
            )
            print(name, one.name, {key: metrics[one.name, name][key] for key in ("mAP50", "mAP75", "mAP50_95")})
        lost.append(metrics[card.name, name]["mAP50"] - metrics[small.name, name]["mAP50"])
    if max(lost) > MOST_LOST:
        small.weights.unlink()
        sys.exit(
            f"int8 costs {max(lost):.4f} of mAP50, more than {MOST_LOST}: no card is written; keep the float model"
        )
    write_card(replace(small, metrics={name: metrics[small.name, name] for name in sets}), arguments.card)


if __name__ == "__main__":
    main()
