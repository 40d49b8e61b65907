"""Table I in miniature: real training runs of four steps, resumed, skipped when finished, and compared."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import parts
import pytest
import table1
import torch
from alignment import scale_in_tile
from conftest import REPOSITORY
from dense import DenseModel
from figures import INTERACTION, Contrast, as_json, difference, rows_of, with_seeds
from parts import Measured, measure_parts
from runs import FOUND_FILE, METRICS, RESULT_FILE, Finished, Run, System, claimed, evenly_taken
from safetensors.torch import load_file
from speed import SPEED_FILE
from support.bare import bare_environment
from support.reference import random_case
from support.shapes import write_shapes
from variants import VARIANTS

from lcageo.data.formats.coco import read_coco
from lcageo.detections import Detections
from lcageo.detector import assign_aligned
from lcageo.detector.count import count_params
from lcageo.detector.presets import build_network
from lcageo.metrics.summary import evaluate_detections
from lcageo.network_config import NetworkConfig, Norm, Preset
from lcageo.runtime.catalog import find_card
from lcageo.training.config import TrainConfig

RECIPE = """
backbone = "resnet18"
backbone_width = 16
channels = 16
norm = "gn"
imgsz = 128
scale = [0.9, 1.1]
mosaic = 0.0
batch = 2
epochs = 1
warmup = 2
ema = 0.9
validations = 2
precision = "fp32"
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """With such small layers, several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training images, four validation images, and a recipe of four steps."""
    folder = tmp_path_factory.mktemp("table1")
    write_shapes(folder / "train.json")
    write_shapes(folder / "val.json", 4, seed=1)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def make(place: Path, out: Path, *more: str, recipe: str = "recipe.toml") -> None:
    given = ("--data", place / "train.json", "--val", place / "val.json", "--out", out, "--schedule", place / recipe)
    table1.main([*map(str, given), "--device", "cpu", "--workers", "0", "--seeds", "1", *more])


@pytest.fixture(scope="module")
def made(place: Path) -> Path:
    """The table of all systems, with one seed."""
    make(place, place / "out")
    return place / "out"


def test_the_table_has_all_systems(made: Path, place: Path) -> None:
    found = json.loads((made / "table1.json").read_text())
    assert list(found["systems"]) == [str(preset) for preset in table1.SYSTEMS]
    assert [(one["first"], one["second"]) for one in found["differences"]] == [
        *(("lca", name) for name in ("retinanet", "fcos", "lca-baseline", "lca-h", "lca-sa")),
        ("lca-h", "lca-baseline"),
        ("lca-sa", "lca-baseline"),
        ("(lca - lca-h)", "(lca-sa - lca-baseline)"),
    ]
    text = (made / "table1.md").read_text()
    for preset in table1.SYSTEMS:
        assert f"| `{preset}` | 0 | 0." in text
        one = found["systems"][preset]
        with torch.device("meta"):
            network = build_network(NetworkConfig(preset, 2, "resnet18", backbone_width=16, channels=16, norm=Norm.GN))
        assert one["params"] == count_params(network) and one["true_macs"] > 0 < one["paper_flops"]
        assert one["curves"]["steps"] == [2, 4] and len(one["curves"]["mAP75"][0]) == 2
        assert one["mAP50"]["spread"] is None
        assert sum(size["objects"] for size in one["agreement"]["0"]["positives"].values()) > 0
        card = find_card(str(made / f"{preset}-s0" / "last"))
        assert one["mAP50"]["by_seed"] == [pytest.approx(card.metrics["mAP50"], abs=6e-5)]
        assert one["mAP75"]["mean"] == pytest.approx(np.mean([each["AP75"] for each in one["per_class"].values()]))
    assert "4 steps of 2 crops of 128 pixels in fp32" in text and "68.1 / 47.0 / 44.4" in text
    truths = [one for one in json.loads((place / "val.json").read_text())["annotations"] if one["category_id"] == 0]
    with_ships = len({one["image_id"] for one in truths})
    assert re.search(rf"\| ship \| {len(truths)} \| {with_ships} \|( \d\.\d{{3}} / \d\.\d{{3}} \|){{6}}\n", text)
    late = r"From step 2 to 4, in which the cosine schedule lowers the rate, mAP50 by [+-]0\.\d{3} to .*, mAP75 by .*, "
    assert re.search(late + "mAP50:95 by ", text)
    everything = json.loads((place / "val.json").read_text())["annotations"]
    assert f"| all objects | {len(everything)} | 2 |" in text and "| set: " not in text
    assert (made / "table1.png").stat().st_size > 10_000


def test_a_finished_run_is_not_run_again(made: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in made.glob("*-s0/**/*") if path.is_file()}

    before, table = state(), (made / "table1.json").read_text()
    (made / "table1.json").unlink()
    monkeypatch.setattr(table1, "perform", None)  # would fail if it were called
    make(place, made, "--preset", "fcos")  # the table has what other processes made, too
    assert state() == before and (made / "table1.json").read_text() == table


def test_networks_are_timed_without_weights(made: Path, place: Path) -> None:
    assert "Images per second" not in (made / "table1.md").read_text()
    make(place, made, "--time")
    found = json.loads((made / "table1.json").read_text())["speed"]
    assert list(found["images_per_second"]) == [str(preset) for preset in table1.SYSTEMS]
    assert min(found["images_per_second"].values()) > 0 and "fp32 on cpu" in found["machine"]
    text = (made / "table1.md").read_text()
    assert f"Images per second, network only, on {found['machine']}." in text
    assert f"| {found['images_per_second']['lca']:.1f} |" in text


def test_networks_are_timed_before_any_run(place: Path, tmp_path: Path) -> None:
    make(place, tmp_path / "new", "--preset", "lca", "--time", "--minutes-limit", "0")
    assert list(json.loads((tmp_path / "new" / SPEED_FILE).read_text())["images_per_second"]) == ["lca"]


def test_other_settings_or_images_are_refused(made: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "other.toml").write_text(RECIPE.replace("epochs = 1", "epochs = 2"))
    with pytest.raises(SystemExit) as stopped:
        make(place, made, recipe="other.toml")
    assert stopped.value.code == 2
    assert re.search(r"error: the run in '.*retinanet-s0' has epochs = 1, not 2; restore", capsys.readouterr().err)
    with np.load(made / "lca-s0" / FOUND_FILE) as kept:
        assert kept["images"].tolist() == [f"val_{number}.png" for number in range(4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 1", "minutes = 1"), "sets minutes, which makes systems incomparable"),
        (('norm = "gn"', ""), "fcos freezes its norms, which requires pretrained weights; use --backbone-weights"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(
    change: tuple[str, str], message: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "bad.toml").write_text(RECIPE.replace(*change))
    with pytest.raises(SystemExit):
        make(place, tmp_path, recipe="bad.toml")
    assert message in capsys.readouterr().err


def test_a_resumed_run_gives_the_same_weights(
    made: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_once(line: str) -> None:
        if "step 2, mAP50" in line:
            monkeypatch.setattr(table1, "say", lambda line: None)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(table1, "say", stop_once)
    with pytest.raises(SystemExit) as stopped:
        make(place, tmp_path, "--preset", "lca")
    assert stopped.value.code == 130 and "stopped; run the same command again to resume" in capsys.readouterr().err
    assert not (tmp_path / "lca-s0" / RESULT_FILE).exists() and not (tmp_path / "table1.json").exists()
    make(place, tmp_path, "--preset", "lca")
    first, second = (load_file(find_card(str(out / "lca-s0" / "last")).weights) for out in (made, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)
    found = json.loads((tmp_path / "table1.json").read_text())
    assert found["systems"]["lca"]["curves"]["steps"] == [2, 4] and found["differences"] == []


def test_it_runs_with_only_torch_and_small_packages(made: Path, place: Path, tmp_path: Path) -> None:
    options = ["--data", place / "train.json", "--val", place / "val.json", "--schedule", place / "recipe.toml"]
    small = ["--out", tmp_path, "--preset", "lca", "--seeds", "1", "--device", "cpu", "--workers", "0"]
    done = subprocess.run(
        [sys.executable, REPOSITORY / "examples" / "table1" / "table1.py", *map(str, options + small)],
        env=bare_environment(tmp_path / "bare"), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, other = (json.loads((out / "table1.json").read_text())["systems"]["lca"] for out in (tmp_path, made))
    assert one["mAP50"] == other["mAP50"] and not (tmp_path / "table1.png").exists()


def test_no_run_starts_after_the_limit(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(place, tmp_path / "out", "--minutes-limit", "0")
    assert "6 of 6 runs are left; run the same command again to resume" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_all_systems_have_a_seed_before_any_has_two(tmp_path: Path) -> None:
    options = argparse.Namespace(preset=[Preset.FCOS, Preset.LCA], warm_up=0.1, seeds=2, variants=[], out=tmp_path)
    runs = table1.planned(TrainConfig(), options)
    assert [run.folder.name for run in runs] == [
        "fcos-s0", "lca-s0", "lca+warmup-s0", "fcos-s1", "lca-s1", "lca+warmup-s1",
        "lca+alpha0.5-s0", "lca+alpha2-s0", "lca+beta4-s0", "lca+beta8-s0", "lca+places9-s0", "lca+places17-s0",
        "lca+alpha0.5-s1", "lca+alpha2-s1", "lca+beta4-s1", "lca+beta8-s1", "lca+places9-s1", "lca+places17-s1",
    ]  # fmt: skip
    options.variants = ["beta4"]
    assert [run.folder.name for run in table1.planned(TrainConfig(), options)[6:]] == ["lca+beta4-s0", "lca+beta4-s1"]
    assert [(run.system.metric.alpha, run.system.metric.beta, run.system.metric.places) for run in runs[5:12]] == [
        (1, 6, 13), (0.5, 6, 13), (2, 6, 13), (1, 4, 13), (1, 8, 13), (1, 6, 9), (1, 6, 17),
    ]  # fmt: skip
    assert [run.config.geometric_warmup for run in runs[:3]] == [0.0, 0.0, 0.1]
    assert [(run.config.preset, run.config.seed) for run in runs[4:6]] == [(Preset.LCA, 1), (Preset.LCA, 1)]


@pytest.mark.parametrize("name", table1.SCHEDULES)
def test_its_own_recipes_can_be_read(name: str) -> None:
    options = argparse.Namespace(
        schedule=name,
        data=["train.json"],
        val=None,
        backbone_weights=None if name == "pretrained" else "resnet.pth",
        preset=list(Preset),
    )
    config = table1.recipe(options)
    assert config.data == ("train.json",) and config.batch == 16 and config.minutes is None


def test_images_keep_their_resolution_and_variants_only_assign_otherwise(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in pretrained.toml."""
    settings = 'backbone = "efficientnet_lite0"\npretrained = true\nnorm = "bn"\nnative = true\nimgsz = 256\ncrop = 128'
    recipe = settings + RECIPE.split("imgsz = 128")[1] + "channels = 16\n"
    data = f'data = ["{place / "train.json"}"]\nval = ["{place / "val.json"}"]\n'
    (tmp_path / "recipe.toml").write_text(data + recipe)
    monkeypatch.setattr(table1, "VARIANTS", {"beta4": VARIANTS["beta4"]})
    out = tmp_path / "out"
    command = ["--schedule", str(tmp_path / "recipe.toml"), "--out", str(out), "--device", "cpu", "--workers", "0"]
    table1.main([*command, "--preset", "lca", "--seeds", "1", "--variants"])
    found = json.loads((out / "table1.json").read_text())
    assert list(found["systems"]) == ["lca", "lca+beta4"]
    assert [(one["first"], one["second"]) for one in found["differences"]] == [("lca", "lca+beta4")]
    assert assign_aligned.IOU_POWER == 6.0
    plain, other = (find_card(str(out / f"{name}-s0" / "last")) for name in found["systems"])
    first, second = load_file(plain.weights), load_file(other.weights)
    changed = [name for name in first if not torch.equal(first[name], second[name])]
    assert changed and not any(name.startswith("backbone.stem") for name in changed)
    # The agreement, too, is of images of 128 pixels, which are not enlarged to 256.
    labelled = replace(read_coco(place / "val.json"), classes=plain.classes)
    dense = next(iter(DenseModel(plain, "cpu").run(labelled)))
    assert dense.objects_xyxy.tolist() == labelled.annotations[0].boxes_xyxy.tolist()
    assert scale_in_tile(plain, labelled.annotations[0]) == 1.0
    assert scale_in_tile(replace(plain, recipe={}), labelled.annotations[0]) == 2.0


def test_a_run_belongs_to_one_process_until_that_ends(tmp_path: Path) -> None:
    run = Run(System("lca", Preset.LCA), 0, TrainConfig(), tmp_path / "lca-s0")
    with claimed(run) as is_ours, claimed(run) as is_also_ours:
        assert is_ours and not is_also_ours
    code = (
        "import sys, time; from pathlib import Path; from runs import *\n"
        "run = Run(System('lca', Preset.LCA), 0, TrainConfig(), Path(sys.argv[1]))\n"
        "with claimed(run) as is_ours: print(is_ours, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(run.folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        with claimed(run) as is_ours:
            assert not is_ours
        other.kill()
        other.wait()
        with claimed(run) as is_ours:
            assert is_ours


def test_validation_images_are_evenly_taken(place: Path) -> None:
    labelled = read_coco(place / "train.json")
    assert evenly_taken(labelled, 3).annotations == tuple(labelled.annotations[index] for index in (0, 4, 7))
    assert evenly_taken(labelled, 20).annotations == tuple(labelled.annotations)


def noisy(found: list[Detections], seed: int, keep: float) -> list[Detections]:
    """Part of the detections, with other scores."""
    rng = np.random.default_rng(seed)
    parts = [one.selected(rng.random(len(one)) < keep) for one in found]
    return [Detections(one.boxes_xyxy, rng.random(len(one)).astype(np.float32), one.labels) for one in parts]


@pytest.mark.parametrize("contrast", [Contrast.of("lca", "lca-h"), INTERACTION])
def test_differences_are_those_of_explicitly_resampled_sets_and_seeds(
    contrast: Contrast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "RESAMPLES", 10)
    case, seeds = random_case(3, images=10), (0, 1, 4)
    found = {
        (sign, name, seed): noisy(case.found, 7 * seed + len(name), 0.6 + len(name) / 50)
        for sign, name in contrast.terms for seed in seeds
    }  # fmt: skip
    finished = []
    for (_, name, seed), some in found.items():
        evaluation = evaluate_detections(case.classes, case.truths, some)
        run = Run(System(name, Preset(name)), seed, TrainConfig(), tmp_path)
        facts = {metric: getattr(evaluation, attribute) for metric, attribute in METRICS.items()}
        curves = dict.fromkeys(METRICS, (0.1, 0.2))
        of_parts = measure_parts(evaluation.matches, ["one"] * 10)
        finished.append(Finished(run, facts, evaluation.resampled(10), of_parts, (1, 2), curves))
    ours = difference(contrast, {row.name: row for row in rows_of(finished)})
    assert ours is not None and ours["seeds"] == list(seeds)

    times = np.random.default_rng(0).multinomial(10, np.full(10, 0.1), 10)
    drawn_seeds = np.random.default_rng(1).integers(0, 3, (10, 3))
    for metric, attribute in METRICS.items():
        slow = []
        for some, which in zip(times, drawn_seeds.tolist(), strict=True):
            drawn = np.repeat(np.arange(10), some).tolist()
            value = {
                key: getattr(
                    evaluate_detections(
                        case.classes, [case.truths[image] for image in drawn], [boxes[image] for image in drawn]
                    ),
                    attribute,
                )
                for key, boxes in found.items()
            }
            sums = [sum(key[0] * one for key, one in value.items() if key[2] == seeds[index]) for index in which]
            slow.append(sum(sums) / 3)
        figure, whole = ours[metric], ours["parts"][parts.WHOLE][metric]
        assert figure["interval"] == pytest.approx(np.percentile(slow, [2.5, 97.5]).tolist())
        assert figure["mean"] == pytest.approx(sum(figure["by_seed"]) / 3)
        assert whole["interval"] == pytest.approx(figure["interval"]) and whole["mean"] == pytest.approx(figure["mean"])
    assert ours["ious"]["0.50"] == ours["parts"][parts.WHOLE]["mAP50"]


def test_seeds_vary_with_the_images() -> None:
    rng = np.random.default_rng(5)
    few, alike = rng.normal(size=(3, 20_000)), rng.normal(size=20_000)
    assert with_seeds(np.array([alike])).tolist() == alike.tolist()  # a single seed: only images
    apart = few * 0 + np.array([[-1.0], [0.0], [1.0]])  # images do not matter: a mean of three draws of -1, 0 and 1
    assert with_seeds(apart).var() == pytest.approx(2 / 9, rel=0.05)
    assert with_seeds(alike + apart).var() == pytest.approx(1 + 2 / 9, rel=0.05)


def test_seeds_that_only_one_side_has_do_not_count() -> None:
    config, folder = TrainConfig(), Path("nowhere")
    case = random_case(4)
    evaluation = evaluate_detections(case.classes, case.truths, case.found)
    facts = dict.fromkeys(METRICS, 0.5) | {
        "params": 1, "paper_flops": 1, "true_macs": 1, "train_seconds": 1.0, "agreement": {},
    }  # fmt: skip
    curves = dict.fromkeys(METRICS, (0.1, 0.2, 0.3))
    classes = [
        {
            "ship": {"objects": 3, "AP50": seed / 4, "AP75": 0.1, "AP50_95": 0.2},
            "dam": {"objects": 0, "AP50": None, "AP75": None, "AP50_95": None},
        }
        for seed in range(3)
    ]
    finished = [
        Finished(
            Run(System(name, Preset(name)), seed, config, folder),
            facts | {"per_class": classes[seed]},
            evaluation.resampled(5),
            {parts.WHOLE: Measured(3, 1, np.full((6, 10), 0.25))},
            (1, 2, 3),
            curves,
        )
        for name, seed in (("fcos", 1), ("lca-h", 0), ("lca", 0), ("lca", 2))
    ]
    found = as_json(rows_of(finished))
    (one,) = found["differences"]
    assert (one["first"], one["second"], one["seeds"]) == ("lca", "lca-h", [0])
    assert one["parts"][parts.WHOLE]["mAP75"] == {"mean": 0.0, "interval": [0.0, 0.0]}
    assert found["systems"]["fcos"]["parts"] == {parts.WHOLE: dict.fromkeys(METRICS, 0.25)}
    assert found["parts"] == {parts.WHOLE: {"objects": 3, "classes": 1}}
    assert found["systems"]["lca"]["mAP50"] == {"mean": 0.5, "spread": 0.0, "by_seed": [0.5, 0.5]}
    assert found["systems"]["lca"]["per_class"] == {"ship": {"objects": 3, "AP50": 0.25, "AP75": 0.1, "AP50_95": 0.2}}
    assert found["systems"]["lca"]["late_rise"]["from_step"] == 2
    assert found["systems"]["lca"]["late_rise"]["mAP50"] == pytest.approx(0.3 - 0.2)
