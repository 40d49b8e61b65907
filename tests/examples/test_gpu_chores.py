"""The four GPU tasks of the Makefile, small and on the CPU, with only torch and small packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from support.bare import bare_environment
from support.shapes import write_shapes
from support.untrained import CLASSES

from lcageo.detections import Detections
from lcageo.runtime.catalog import find_card

SMALL = "--channels 16 --imgsz 128 --crop 128 --minutes 0.1 --batch 2 --precision fp32"
RECIPE = """
backbone = "resnet18"
backbone_width = 16
channels = 16
norm = "gn"
imgsz = 128
batch = 2
epochs = 1
validations = 1
precision = "fp32"
"""

NAMES = {"vhr10": ("vehicle",), "openmix": ("car", "large-vehicle")}
"""Each set's name for the cars of the shapes, and the other names that the recipe merges with it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data laid out as the tasks expect it; the source of each image decides for what it is annotated."""
    folder = tmp_path_factory.mktemp("gpu")
    for which in ("vhr10", "openmix"):
        for split in ("train", "val"):
            path = write_shapes(folder / which / "images" / f"{split}.json", 4, seed=len(which + split))
            content = json.loads(path.read_text())
            for image in content["images"]:
                image["source"] = which
            names = ("ship", *NAMES[which], *(name for name in CLASSES if name not in ("ship", *NAMES[which])))
            content["categories"] = [{"id": index, "name": name} for index, name in enumerate(names)]
            (folder / which / f"{split}.json").write_text(json.dumps(content))
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def chore(name: str, place: Path, options: str) -> str:
    done = subprocess.run(
        ["make", "--silent", name, f"VHR10={place}/vhr10", f"RUNS={place}/runs",
         f"ARGS={options}", f"PYTHON={sys.executable}"],
        cwd=REPOSITORY, env=bare_environment(place / "bare"), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_default_model_is_trained_and_compared_with_the_shipped_one(place: Path) -> None:
    sets = [f"--data {place / which}/train.json --val {place / which}/val.json" for which in ("vhr10", "openmix")]
    small = " ".join([SMALL, *sets])
    printed = chore("gpu-model", place, small)
    card = find_card(str(place / "runs" / "gpu-model"))
    assert card.classes == CLASSES and card.recipe["minutes"] == 0.1
    assert printed.count("\nmean ") == 2
    chore("gpu-model", place, small)
    assert find_card(str(place / "runs" / "gpu-model")) == card  # nothing was left to do


def test_table1_is_made(place: Path) -> None:
    chore("gpu-table1", place, f"--schedule {place}/recipe.toml --preset lca fcos --seeds 1")
    found = json.loads((place / "runs" / "table1-r50" / "table1.json").read_text())
    assert list(found["systems"]) == ["fcos", "lca"] and found["systems"]["lca"]["seeds"] == [0]


def test_throughput_is_measured_once(place: Path) -> None:
    small = "--models lca:resnet18:64 fcos:resnet18:64 --batches 1 2 --seconds 0.01"
    printed = chore("gpu-bench", place, small)
    rows = place / "runs" / "gpu-bench" / "rows.jsonl"
    before = [json.loads(line) for line in rows.read_text().splitlines()]
    ways = [(row["model"], row["numbers"], row["batch"]) for row in before if "how" in row]
    assert len(ways) == len(set(ways)) == 2 * 3 * 2 and min(one.get("rate", 1) for one in before) > 0
    for row in before:
        if "how" in row:
            share = row["network_images_per_second"] * row["macs"] / before[0]["rate"]
            assert row["network_images_per_second"] > 0 < row["images_per_second"]
            assert f"| {row['numbers']} | as it is | {row['batch']} |" in printed and f"{share:.1%}" in printed
    rows.write_text("".join(f"{json.dumps(row)}\n" for row in before[:-1]))
    chore("gpu-bench", place, small)
    after = [json.loads(line) for line in rows.read_text().splitlines()]
    assert after[:-1] == before[:-1] and len(after) == len(before)


def test_agreement_and_disagreement_are_measured(place: Path) -> None:
    from benchmarks.gpu_agreement import compared

    printed = chore("gpu-agree", place, "--images 3")
    found = json.loads((place / "runs" / "gpu-agree" / "agreement.json").read_text())
    assert found["model"] == "lca-s" and found["images"] == 3 and list(found["ways"]) == ["cpu-fp32", "cpu-bf16"]
    same = found["ways"]["cpu-fp32"]
    assert same["without_match"] == 0 and same["score_difference"]["greatest"] == same["box_difference_px"]["p99"] == 0
    assert "| cpu-bf16 | " in printed

    card = find_card("lca-s")
    boxes = np.array([[10, 10, 60, 60], [100, 100, 140, 150]], np.float32)
    reference = [Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]))]
    moved = [Detections(boxes + np.float32(0.25), np.array([0.85, 0.8], np.float32), np.array([0, 2]))]
    figures = compared(moved, reference, card)
    assert figures["objects"] == 4 and figures["without_match"] == 2  # the second changed its class
    assert figures["score_difference"]["greatest"] == pytest.approx(0.05)
    assert figures["box_difference_px"]["greatest"] == pytest.approx(0.25)


def test_missing_data_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "gpu-table1", f"VHR10={tmp_path}/none"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert f"there is no '{tmp_path}/none/train.json': name the folder of the data with VHR10=..." in done.stderr
