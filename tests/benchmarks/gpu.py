"""Throughput on a GPU: images a second for batches, numbers and ways to run, and the share of the card's matrix rate.

    python tests/benchmarks/gpu.py [--preset lca --backbone resnet50 --side 800] [--batches 1 2 4 8 16] [--scene FILE]

Needs torch, numpy and safetensors; with --scene, a local COG, also rasterio: then megapixels a second from end to end.
The rate is that of a large product of bfloat16 matrices, measured first. Without a GPU it runs on the CPU, slower:
`--preset lca --backbone resnet18 --width 16 --side 64 --batches 1 2` tries it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lcageo.config import DetectConfig, NetworkConfig, Precision, Preset
from lcageo.detector.count import true_macs
from lcageo.detector.presets import build_network
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.selection import Selection
from lcageo.runtime.torch_backend import TorchPredictor, chosen_precision, torch_device

SECONDS = 2.0
"""Of each measurement."""


def rate_per_second(work: Callable[[], object], device: torch.device, least_s: float = SECONDS) -> float:
    """Calls a second, once warm."""
    for _ in range(2):
        work()
    _wait(device)
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < least_s:
        work()
        calls += 1
    _wait(device)
    return calls / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device) -> float:
    """Multiply-accumulates a second of a bfloat16 product."""
    side = 8192 if device.type == "cuda" else 512
    left = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    with torch.inference_mode():
        return rate_per_second(lambda: left @ left, device) * side**3


def a_card(arguments: argparse.Namespace, folder: Path) -> ModelCard:
    """A card of an untrained network: how fast it is does not depend on its weights."""
    network = NetworkConfig(Preset(arguments.preset), 20, arguments.backbone, arguments.width, arguments.channels)
    weights = folder / "none.safetensors"
    weights.touch()
    return ModelCard(
        name=f"{arguments.preset}-{arguments.backbone}", network=network, classes=tuple(map(str, range(20))),
        tile_size=arguments.side, gsd_m=(0.1, 2.0), mean=(124.0, 116.0, 104.0), std=(58.4, 57.1, 57.4), weights=weights,
        sha256=hashlib.sha256(b"").hexdigest(), licence="none needed", trained_on="",
    )  # fmt: skip


def throughput(model: TorchPredictor, batch: int, seconds: float, device: torch.device) -> tuple[float, float]:
    """Images a second of the network alone, and with what belongs to it: upload, decoding, suppression."""
    side = model.card.tile_size
    images = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
    bare = batch * rate_per_second(lambda: model.forward(images), device, seconds)
    return bare, batch * rate_per_second(lambda: model.predict(images), device, seconds)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="lca")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--side", type=int, default=800)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--compiled", action="store_true", help="also compiled: minutes more")
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    arguments = parser.parse_args()
    device = torch_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peak = matrix_rate(device)
    with tempfile.TemporaryDirectory() as folder:
        card = a_card(arguments, Path(folder))
        macs = true_macs(build_network(card.network), arguments.side, arguments.side)
        print(f"{name}, torch {torch.__version__}; {card.name} at {arguments.side}: {macs / 1e9:.1f} GMAC")
        print(f"matrix rate in bf16: {peak / 1e12:.2f} T multiply-accumulates/s")
        print(f"{'numbers':<8}{'how':<10}{'batch':>6}{'network/s':>11}{'with objects/s':>16}{'of the rate':>13}")
        best = 0.0
        for precision in (Precision.FP32, Precision.BF16):
            for compiled in (False, True) if arguments.compiled else (False,):
                numbers = chosen_precision(precision, card, device)
                selection = Selection.of(card, DetectConfig(score=0.5))
                model = TorchPredictor(card, build_network(card.network), selection, device, numbers, compiled)
                for batch in arguments.batches:
                    bare, whole = throughput(model, batch, arguments.seconds, device)
                    best = max(best, bare)
                    way = "compiled" if compiled else "as it is"
                    share = bare * macs / peak
                    print(f"{numbers:<8}{way:<10}{batch:>6}{bare:>11.1f}{whole:>16.1f}{share:>12.1%}", flush=True)
        if arguments.scene is not None:
            end_to_end(arguments.scene, model, best)


def end_to_end(path: Path, model: TorchPredictor, best: float) -> None:
    """Megapixels a second of a whole scene, and tiles a second over those of the network alone."""
    from lcageo.pipeline.detect import detect_scene
    from lcageo.scene.raster import open_scene

    with open_scene(path) as scene:
        started = time.perf_counter()
        result = detect_scene(scene, model, DetectConfig(score=0.5, gsd="native"), model.batch, print)
        seconds = time.perf_counter() - started
        megapixels = scene.info.width * scene.info.height / 1e6
    tiles = result.report.provenance["tiles"]["run"]
    print(
        f"{path}: {megapixels / seconds:.1f} megapixels/s, {tiles / seconds:.1f} tiles/s, {tiles / seconds / best:.0%}"
    )


if __name__ == "__main__":
    main()
