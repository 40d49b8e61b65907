"""Where a network's time goes on this processor: milliseconds, multiply-accumulates and achieved rate of its parts.

    taskset -c 0 python tests/benchmarks/layers.py [--model lca-s] [--precision bf16] [--tile 608] [--threads 1]

The graph is compiled as the OpenVINO backend does it, with OpenVINO's counters switched on, and runs one tile. The
measured peak is that of a large matrix product in the same numbers on as many threads. A node's time is the lower
quartile of its runs, since whatever else the machine does only adds to it.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import openvino
import torch

from lcageo.config import Precision
from lcageo.detector.count import true_macs
from lcageo.detector.presets import build_network
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.openvino_backend import _core, _settings

PRODUCT_SIDES = (1024, 2048)
"""Rows, columns and depth of the matrix products of which the faster one gives the peak."""
IN_A_ROW = 4
PRODUCT_RUNS = 9
RUNS = 6
"""Timed runs of one compiled graph. OpenVINO gives means over all runs in whole microseconds, so the difference of two
of them is wrong by up to as many microseconds."""
BETWEEN = ("Concat", "DequantizeLinear", "Gather", "Mul", "Reshape", "Unsqueeze")
"""Operators between stored weights and the layer that takes them; Mul multiplies a task's attention into them."""
HAS_BF16 = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
LAYOUT = ("Reorder", "Transpose", "Convert")
"""Types of nodes that only bring values into another order or type."""
PRODUCTS = ("Convolution", "MatMul", "FullyConnected")


@dataclass
class Node:
    """A node of the compiled graph."""

    name: str
    part: str
    kind: str
    """OpenVINO's type, as Convolution."""
    primitive: str
    """What runs it, with its numbers, as brgconv_avx512_bf16."""
    shapes: str
    macs: int
    times: list[float] = field(default_factory=list)
    """Milliseconds of the runs."""

    @property
    def ms(self) -> float:
        """Milliseconds, lower quartile of the runs."""
        return _quartile(self.times)


def parts_of(graph: onnx.GraphProto) -> dict[str, str]:
    """The part of the network that each node of an ONNX graph belongs to.

    A layer with weights is named by them, in the head with the level that it works on, as levels share their weights.
    Other nodes belong to what they follow; behind the last layer with weights they decode.
    """
    makers = {output: node for node in graph.node for output in node.output}
    reaching: set[str] = set()  # outputs that a layer with weights depends on
    for node in reversed(graph.node):
        if _weights(node, makers) or reaching.intersection(node.output):
            reaching.update(node.input)
    parts: dict[str, str] = {}
    for node in graph.node:
        weights = _weights(node, makers)
        before = [parts[makers[name].name] for name in node.input if name in makers and makers[name].name in parts]
        before = [part for part in before if part]
        if weights:
            parts[node.name] = _part(weights, before[0] if before else "")
        elif reaching.intersection(node.output):
            parts[node.name] = before[0] if before else ""
        elif before:
            level = re.search(r"P\d", before[0])
            parts[node.name] = f"decode {level[0]}" if level else "decode"
    return {name: part or "input" for name, part in parts.items()}


def _weights(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> str:
    """Name of a convolution's or matrix product's weights; empty if it has none, and for other nodes."""
    factors = {"Conv": node.input[1:2], "MatMul": node.input}.get(node.op_type, ())
    return next((name for factor in factors if (name := _stored(factor, makers))), "")


def _stored(value: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """Name of the stored weights that a value is made of, the first of several; empty for other values."""
    if found := re.search(r"network\.(\w[\w.]*)\.weight", value):
        return found[1]
    maker = makers.get(value)
    if maker is None or maker.op_type not in BETWEEN:
        return ""
    return next((name for one in maker.input if (name := _stored(one, makers))), "")


def _part(weights: str, before: str) -> str:
    """The part of a layer, from the name of its weights and the part that it follows."""
    room, name, *rest = weights.split(".")
    if room == "head":
        level = re.search(r"P\d", before)
        return f"head {level[0] if level else ''} {name}"
    if room == "neck":
        return f"neck P{3 + int(rest[0])} {name}" if rest else f"neck {name.upper()}"
    if name == "stages":
        return f"backbone stage {rest[0]} {'depthwise' if 'depthwise' in rest[-1] else 'pointwise'}"
    return f"{room} {name}"


def nodes_of(compiled: Any, parts: dict[str, str]) -> dict[str, Node]:
    """The nodes of a compiled graph by name, in the order in which they run."""
    nodes: dict[str, Node] = {}
    for one in compiled.get_runtime_model().get_ordered_ops():
        about = {
            key: one.get_rt_info()[key].astype(str) for key in ("originalLayersNames", "layerType", "primitiveType")
        }
        inputs = [list(each.get_shape()) for each in one.inputs()]
        outputs = [list(each.get_shape()) for each in one.outputs()]
        names = [name.removesuffix("/WithoutBiases") for name in about["originalLayersNames"].split(",")]
        own = [parts[name] for name in names if name in parts]
        before = [nodes[each.get_source_output().get_node().get_friendly_name()] for each in one.inputs()]
        inherited = [node.part for node in before if node.part]
        part = (own or inherited or [""])[0]
        kind = about["layerType"]
        macs = macs_of(inputs, outputs[0]) if kind in PRODUCTS else 0
        name = one.get_friendly_name()
        nodes[name] = Node(name, part, kind, about["primitiveType"], f"{inputs} -> {outputs}", macs)
    return nodes


def macs_of(inputs: Sequence[Sequence[int]], output: Sequence[int]) -> int:
    """Multiply-accumulates of a convolution (weights of four axes, or five with groups) or a matrix product."""
    data, weights = inputs[:2]
    if len(output) == 4 and len(weights) >= 4:
        return math.prod(output) * math.prod(weights[len(weights) - 3 :])
    # (m x k) (k x n), either transposed: the sizes of both factors over that of the product give k * k.
    batch = math.prod(weights[:-2])
    return math.prod(output) * math.isqrt(math.prod(data) * math.prod(weights) // (math.prod(output) * batch))


def timed(nodes: dict[str, Node], compiled: Any, inputs: Sequence[Any]) -> list[float]:
    """Adds the times of some runs to the nodes; returns the milliseconds that the processor spent on each run."""
    request, before, spent = compiled.create_infer_request(), dict[str, float](), list[float]()
    for run in range(1, RUNS + 2):
        spent.append(_processor_ms(request, inputs))
        for entry in request.get_profiling_info():
            total = entry.real_time.total_seconds() * 1e3 * run
            if run > 1 and entry.node_name in nodes:
                nodes[entry.node_name].times.append(total - before[entry.node_name])
            before[entry.node_name] = total
    return spent[1:]


def profile(
    model: Any, settings: dict[str, Any], inputs: Sequence[Any], parts: dict[str, str], rounds: int
) -> tuple[list[Node], float]:
    """Nodes that take time, over some rounds, and the processor's milliseconds of the whole graph (lower quartile)."""
    found: list[Node] = []
    whole: list[float] = []
    for _ in range(rounds):
        compiled = _core().compile_model(model, "CPU", settings | {"PERF_COUNT": True})
        nodes = nodes_of(compiled, parts)
        whole += timed(nodes, compiled, inputs)
        some = [node for node in nodes.values() if node.times]
        if not found:
            found = some
            continue
        for node, same in zip(found, some, strict=True):  # names differ from one compilation to the next
            assert (node.kind, node.shapes) == (same.kind, same.shapes), "the graph was compiled in another way"
            node.times += same.times
    return [node for node in found if node.ms > 0], _quartile(whole)


def peak(precision: Precision, threads: int) -> float:
    """GMAC/s of large matrix products, by the processor's time: a few in a row, so that their input hardly counts."""
    rates = {side: _product_rate(precision, threads, side) for side in PRODUCT_SIDES}
    print("; ".join(f"matrix product of {side} x {side} x {side}: {rate:.0f} GMAC/s" for side, rate in rates.items()))
    return max(rates.values())


def _product_rate(precision: Precision, threads: int, side: int) -> float:
    from openvino import opset13 as ops

    image = ops.parameter([side, side], np.float32)
    result: Any = image
    numbers = np.random.default_rng(0)
    low, high = np.float32(-1), np.float32(1)
    for _ in range(IN_A_ROW):
        factor: Any = ops.constant((numbers.uniform(-1, 1, (side, side)) / side**0.5).astype(np.float32))
        if precision is Precision.INT8:
            result = ops.fake_quantize(result, low, high, low, high, 256)
            factor = ops.fake_quantize(factor, low, high, low, high, 255)
        result = ops.matmul(result, factor, False, True)
    model = openvino.Model([result], [image])
    request = _core().compile_model(model, "CPU", _settings(precision, HAS_BF16, 1, threads)).create_infer_request()
    values = numbers.uniform(-1, 1, (side, side)).astype(np.float32)
    milliseconds = [_processor_ms(request, [values]) for _ in range(PRODUCT_RUNS)]
    return IN_A_ROW * side**3 * threads / _quartile(milliseconds[1:]) / 1e6


def _processor_ms(request: Any, inputs: Sequence[Any]) -> float:
    started = time.process_time()
    request.infer(inputs, share_inputs=True)
    return (time.process_time() - started) * 1e3


def _quartile(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=4)[0]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--precision", type=Precision, choices=[Precision.FP32, Precision.BF16], default=Precision.BF16)
    parser.add_argument("--tile", type=int, help="side of the tile (default: the model's)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="times that the graph is compiled and run")
    arguments = parser.parse_args()
    card = find_card(arguments.model)
    card = replace(card, tile_size=arguments.tile or card.tile_size)
    precision = Precision.INT8 if card.is_quantised else arguments.precision
    most = peak(precision, arguments.threads)
    graph = onnx_graph(card)
    parts = parts_of(onnx.load_from_string(graph).graph)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, card.tile_size, card.tile_size), np.uint8)
    settings = _settings(precision, HAS_BF16, 1, arguments.threads)
    nodes, whole = profile(_core().read_model(graph, b""), settings, [image], parts, arguments.rounds)
    print(f"{card.name}, {precision}, tile of {card.tile_size} pixels, {arguments.threads} thread(s) a tile")
    print_parts(nodes, most)
    print_slowest(nodes, most)
    print_whole(nodes, whole, most, card)


def print_parts(nodes: Sequence[Node], most: float) -> None:
    """A line for each part, in the order of the graph."""
    parts: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        parts[node.part or "input"].append(node)
    whole = sum(node.ms for node in nodes)
    print(f"\n{'part':34}{'ms':>8}{'share':>8}{'layout':>8}{'other':>8}{'GMAC':>8}{'GMAC/s':>8}{'of peak':>8}")
    for part, some in sorted(parts.items(), key=lambda item: _order(item[0])):
        ms, macs = sum(node.ms for node in some), sum(node.macs for node in some)
        layout = sum(node.ms for node in some if node.kind in LAYOUT)
        other = ms - layout - sum(node.ms for node in some if node.kind in PRODUCTS)
        rate = macs / ms / 1e6
        print(
            f"{part:34}{ms:8.2f}{ms / whole:8.1%}{layout:8.2f}{other:8.2f}"
            f"{macs / 1e9:8.3f}{rate:8.0f}{rate / most:8.1%}"
        )


def _order(part: str) -> tuple[int, str]:
    rooms = ("input", "backbone stem", "backbone", "neck", "head", "decode")
    return next(place for place, room in enumerate(rooms) if part.startswith(room)), part


def print_slowest(nodes: Iterable[Node], most: float) -> None:
    """The nodes that take longest."""
    print("\nslowest nodes")
    for node in sorted(nodes, key=lambda node: -node.ms)[:15]:
        rate = node.macs / node.ms / 1e6
        print(
            f"{node.ms:8.2f} ms{rate:6.0f} GMAC/s{rate / most:7.1%}  {node.part:32} {node.kind} {node.primitive} "
            f"{node.shapes}"
        )


def print_whole(nodes: Sequence[Node], whole: float, most: float, card: ModelCard) -> None:
    """The whole graph: its rate, and what changes of layout and type take."""
    ms, macs = sum(node.ms for node in nodes), sum(node.macs for node in nodes)
    print(f"\nwhole graph: {ms:.2f} ms in {len(nodes)} nodes ({whole:.2f} ms of the processor), {macs / 1e9:.3f} GMAC")
    if not card.is_graph:
        with torch.device("meta"):
            counted = true_macs(build_network(card.own_network), card.tile_size, card.tile_size)
        print(f"counted from the network: {counted / 1e9:.3f} GMAC")
    rate = macs / whole / 1e6
    print(f"rate, by the processor's time: {rate:.0f} GMAC/s, {rate / most:.1%} of the peak")
    for kinds in (("Reorder",), ("Transpose",), ("Convert",), PRODUCTS, ("Subgraph",), ("MVN",)):
        some = [node for node in nodes if node.kind in kinds]
        print(f"{' '.join(kinds):34}{len(some):4} nodes {sum(node.ms for node in some):7.2f} ms")


if __name__ == "__main__":
    main()
