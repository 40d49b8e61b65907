"""Throughput on a GPU: images per second by batch size, precision and mode, and the share of the GPU's peak rate.

    python tests/benchmarks/gpu.py --out runs/gpu-bench [--compiled] [--numbers bf16] [--scene COG]

Measures `lca` with ResNet-50 at 800 x 800 and the default model (--models chooses others: PRESET:BACKBONE:SIDE,
untrained, or a model). The peak rate is that of a large product of bfloat16 matrices, measured first. Each row is
appended to OUT/rows.jsonl as soon as it is measured, and the table OUT/throughput.md is rewritten; run the same command
again to measure missing rows.

Needs torch, numpy, safetensors and typer. With --scene, a local COG, it also measures megapixels per second from end to
end, which needs the geospatial packages. Without a GPU it runs on the CPU; for a quick try, use
`--models lca:resnet18:64 --batches 1 2 --seconds 0.1`.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lcageo.config import DetectConfig, Precision
from lcageo.detector.count import true_macs
from lcageo.detector.presets import build_network
from lcageo.errors import DeviceMemoryError, LcageoError
from lcageo.network_config import NetworkConfig, Preset
from lcageo.runtime.catalog import DEFAULT_MODEL, ModelCard, find_card
from lcageo.runtime.selection import Selection
from lcageo.runtime.torch_backend import TorchPredictor, chosen_precision, torch_device

SECONDS = 2.0
"""Duration of each measurement."""
PRECISIONS = {"bf16": (Precision.BF16, False), "tf32": (Precision.FP32, True), "fp32": (Precision.FP32, False)}
"""Row name -> precision, and whether float32 products may use TF32; the most important first."""
THREADS = 2
"""Threads that feed the model, as in `detect`: one batch is copied while another is computed."""


def rate_per_second(work: Callable[[], object], device: torch.device, minimum_s: float = SECONDS) -> float:
    """Calls per second, after a warm-up."""
    for _ in range(2):
        work()
    _wait(device)
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < minimum_s:
        work()
        calls += 1
    _wait(device)
    return calls / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device) -> float:
    """Multiply-accumulates per second of a bfloat16 matrix product."""
    side = 8192 if device.type == "cuda" else 512
    left = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    with torch.inference_mode():
        return rate_per_second(lambda: left @ left, device) * side**3


def card_of(name: str, folder: Path) -> ModelCard:
    """A model's card, or that of an untrained network, whose speed does not depend on its weights."""
    if ":" not in name:
        return find_card(name)
    preset, backbone, side = name.split(":")
    weights = folder / "none.safetensors"
    weights.touch()
    return ModelCard(
        name=f"{preset}-{backbone}", network=NetworkConfig(Preset(preset), 20, backbone),
        classes=tuple(map(str, range(20))), tile_size=int(side), gsd_m=(0.1, 2.0), mean=(124.0, 116.0, 104.0),
        std=(58.4, 57.1, 57.4), weights=weights, sha256=hashlib.sha256(b"").hexdigest(), licence="none needed",
        trained_on="",
    )  # fmt: skip


def measured(card: ModelCard, numbers: str, compiled: bool, batch: int, seconds: float) -> dict[str, Any]:
    """Images per second of the network alone, and with upload, decoding and suppression."""
    device = torch_device("auto")
    asked, tf32 = PRECISIONS[numbers]
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    torch._dynamo.reset()  # dynamo compiles a function for a limited number of shapes only
    selection = Selection.of(card, DetectConfig(score=0.5))
    precision = chosen_precision(asked, card, device)
    # One predictor per batch size: it records a CUDA graph for its first shapes only.
    model = TorchPredictor(card, build_network(card.network), selection, device, precision, compiled)
    images = np.random.default_rng(0).integers(0, 256, (batch, 3, card.tile_size, card.tile_size), dtype=np.uint8)
    there = torch.from_numpy(images).to(device)
    alone = batch * rate_per_second(lambda: model.run(there), device, seconds)
    batches = [images] * 2 * THREADS
    with ThreadPoolExecutor(THREADS) as pool:
        work = rate_per_second(lambda: list(pool.map(model.predict, batches)), device, seconds)
    return {"network_images_per_second": alone, "images_per_second": batch * len(batches) * work}


def attempt(*way: Any) -> dict[str, Any]:
    """The measured row, or the reason of a failure."""
    try:
        return measured(*way)
    except (torch.OutOfMemoryError, MemoryError, DeviceMemoryError):
        return {"failed": "no memory"}
    except (RuntimeError, LcageoError) as error:  # a failing mode loses only its own row
        return {"failed": str(error).splitlines()[0]}
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def end_to_end(path: Path, card: ModelCard) -> dict[str, Any]:
    """Megapixels and tiles per second of a complete scene, as in `detect`, without writing."""
    from lcageo.inference.scene import detect_scene
    from lcageo.scene.raster import open_scene

    device = torch_device("auto")
    config = DetectConfig(score=0.5, gsd="native")
    precision = chosen_precision(Precision.BF16, card, device)
    model = TorchPredictor(card, build_network(card.network), Selection.of(card, config), device, precision)
    with open_scene(path) as scene:
        started = time.perf_counter()
        result = detect_scene(scene, model, config, model.batch, print)
        seconds = time.perf_counter() - started
        megapixels = scene.info.width * scene.info.height / 1e6
    tiles = result.summary.tiles.run
    return {"megapixels_per_second": megapixels / seconds, "tiles_per_second": tiles / seconds, "batch": model.batch}


class Rows:
    """Measured rows, in a file with one line per row."""

    def __init__(self, path: Path, changed: Callable[[list[dict[str, Any]]], object]) -> None:
        self._path, self._changed = path, changed
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def get(self, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of a key, measured if it is missing."""
        for row in self.rows:
            if row.items() >= key.items():
                return row
        row = key | measure()
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
        self._changed(self.rows)
        return row


def markdown(machine: dict[str, Any], every: list[dict[str, Any]]) -> str:
    """The table of a machine's rows, of which the first is the peak rate."""
    rows = [row for row in every if row.items() >= machine.items()]
    rate = rows[0]["rate"]
    lines = [
        f"{machine['device']}, torch {machine['torch']}; {rate / 1e12:.2f} T multiply-accumulates/s in bfloat16.",
        "",
        "| model | GMAC | precision | mode | batch | network, images/s | share of the rate | with objects, images/s |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        if "how" not in row:
            continue
        cells = [row["model"], f"{row['macs'] / 1e9:.1f}", row["numbers"], row["how"], row["batch"]]
        if "failed" in row:
            cells += [row["failed"], "-", "-"]
        else:
            share = row["network_images_per_second"] * row["macs"] / rate
            cells += [f"{row['network_images_per_second']:.1f}", f"{share:.1%}", f"{row['images_per_second']:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for row in rows:
        if "scene" in row:
            alone = max(
                (one["network_images_per_second"] for one in rows
                 if one["model"] == row["model"] and one.get("numbers") == "bf16" and "failed" not in one),
                default=float("nan"),
            )  # fmt: skip
            lines += [
                "",
                f"{row['scene']} with {row['model']}: {row['megapixels_per_second']:.1f} megapixels/s, "
                f"{row['tiles_per_second']:.1f} tiles/s, {row['tiles_per_second'] / alone:.0%} of the network alone.",
            ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measures the missing rows and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the rows and the table")
    parser.add_argument("--models", nargs="+", default=["lca:resnet50:800", DEFAULT_MODEL])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--numbers", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--compiled", action="store_true", help="also measure compiled models: one minute more per row")
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="duration of each measurement")
    arguments = parser.parse_args()
    device = torch_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    machine = {"device": name, "torch": torch.__version__}
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(
        arguments.out / "rows.jsonl",
        lambda every: (arguments.out / "throughput.md").write_text(markdown(machine, every), encoding="utf-8"),
    )
    rows.get(machine | {"model": "product"}, lambda: {"rate": matrix_rate(device)})
    with tempfile.TemporaryDirectory() as folder:
        for card in [card_of(model, Path(folder)) for model in arguments.models]:
            macs = true_macs(build_network(card.network), card.tile_size, card.tile_size)
            hows = ("as it is", "compiled") if arguments.compiled else ("as it is",)
            for numbers, how, batch in itertools.product(arguments.numbers, hows, arguments.batches):
                key = {"model": card.name, "macs": macs, "numbers": numbers, "how": how, "batch": batch}
                way = card, numbers, how == "compiled", batch, arguments.seconds
                rows.get(machine | key, lambda way=way: attempt(*way))
            if arguments.scene is not None:
                key = {"model": card.name, "scene": arguments.scene.name}
                rows.get(machine | key, lambda card=card: end_to_end(arguments.scene, card))
    print(markdown(machine, rows.rows))


if __name__ == "__main__":
    main()
