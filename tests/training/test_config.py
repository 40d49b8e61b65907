from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.config import Precision
from lcageo.errors import ConfigError
from lcageo.network_config import BACKBONES, Norm, Preset
from lcageo.training.config import Optimizer, Schedule, TrainConfig, read_recipe, write_recipe


@pytest.mark.parametrize(
    "settings",
    [
        {"split": "test"},
        {"backbone": "vgg"},
        {"backbone_width": 20},
        {"backbone_width": 48, "backbone": "efficientnet_lite0"},
        {"pretrained": True},
        {"pretrained": True, "backbone": "efficientnet_lite0", "norm": Norm.GN},
        {"pretrained": True, "backbone": "efficientnet_lite0", "start_from": "lca-s"},
        {"pretrained": True, "backbone": "efficientnet_lite0", "backbone_weights": "lite0.pth"},
        {"freeze": 5},
        {"freeze": -1, "start_from": "lca-s"},
        {"imgsz": 100},
        {"crop": 96},
        {"scale": (2.0, 1.0)},
        {"mosaic": 1.5},
        {"background": 1.5},
        {"class_balance": -0.1},
        {"epochs": 0},
        {"minutes": 0.0},
        {"batch": 0},
        {"accumulate": 3},
        {"lr": 0.0},
        {"backbone_lr": 0.0},
        {"backbone_lr": 1.5},
        {"weight_decay": 1.0},
        {"warmup": -1},
        {"clip": -1.0},
        {"ema": 1.0},
        {"geometric_warmup": 2.0},
        {"iou_power": 0.0},
        {"validations": 0},
        {"gsd_m": (1.0, 0.5)},
    ],
)
def test_an_invalid_setting_is_named(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"training setting {next(iter(settings))} = "):
        TrainConfig(**settings)  # type: ignore[arg-type]


@given(
    st.sampled_from(list(Preset)),
    st.sampled_from([None, *Norm]),
    st.sampled_from(list(Optimizer)),
    st.sampled_from(list(Schedule)),
    st.sampled_from([precision for precision in Precision if precision is not Precision.INT8]),
    st.lists(st.text(min_size=1), max_size=3),
    st.floats(0.1, 1e4) | st.none(),
)
def test_a_recipe_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    preset: Preset,
    norm: Norm | None,
    optimizer: Optimizer,
    schedule: Schedule,
    precision: Precision,
    classes: list[str],
    minutes: float | None,
) -> None:
    config = TrainConfig(
        data=("a.json", "ü b"), classes=tuple(classes), preset=preset, norm=norm, optimizer=optimizer,
        schedule=schedule, precision=precision, minutes=minutes, gsd_m=(0.3, 1.5), compile=True, native=True,
        backbone="efficientnet_lite0", pretrained=norm is not Norm.GN, backbone_lr=0.5, background=0.2,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    write_recipe(config, path)
    assert read_recipe(path) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = ", "is not TOML"),
        ("epoch = 3", "no training setting 'epoch'"),
        ("epochs = 'many'", "wrong type"),
        ("preset = 'yolo'", "wrong type.*yolo"),
        ("imgsz = 100", "imgsz = 100"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_named_with_its_error(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"recipe '.*recipe.toml'.*{words}"):
        read_recipe(path)


def test_learning_rates_follow_the_batch() -> None:
    sgd, adamw = TrainConfig(optimizer=Optimizer.SGD), TrainConfig(optimizer=Optimizer.ADAMW)
    assert (sgd.peak_lr, adamw.peak_lr) == (0.01, 0.0015)
    assert replace(sgd, batch=64).peak_lr == pytest.approx(0.04)
    assert replace(adamw, batch=64).peak_lr == pytest.approx(0.003)
    assert replace(adamw, start_from="lca-s").peak_lr == pytest.approx(0.0005)
    assert replace(adamw, lr=0.7, batch=1).peak_lr == 0.7


def test_a_pretrained_backbone_is_frozen_as_in_the_paper() -> None:
    assert TrainConfig().frozen_stages is None
    assert TrainConfig(backbone_weights="r50.pth").frozen_stages == 1
    assert TrainConfig(backbone_weights="r50.pth", freeze=0).frozen_stages == 0


def test_a_backbone_from_a_package_is_frozen_as_its_family_says() -> None:
    lite = TrainConfig(backbone="efficientnet_lite1", pretrained=True)
    assert lite.frozen_stages == 2 and replace(lite, freeze=0).frozen_stages == 0
    assert replace(lite, pretrained=False).frozen_stages is None


def test_stages_are_those_of_the_backbones_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "deep", replace(BACKBONES["resnet50"], stages=7, stages_frozen=3))
    assert TrainConfig(backbone="deep", backbone_weights="deep.pth").frozen_stages == 3
    assert TrainConfig(backbone="deep", freeze=7).frozen_stages == 7
    with pytest.raises(ConfigError, match="freeze = 8 must be 0 to 7 for deep"):
        TrainConfig(backbone="deep", freeze=8)
    assert TrainConfig(freeze=7, start_from="deep-model").frozen_stages == 7, "the model's backbone decides"


def test_given_epochs_replace_the_minutes_of_a_recipe() -> None:
    recipe = TrainConfig(minutes=5.0)
    assert recipe.changed({"epochs": 3}).minutes is None
    assert recipe.changed({"epochs": 3, "minutes": 2.0}).minutes == 2.0
    assert recipe.changed({"batch": 4}).minutes == 5.0


def test_the_error_for_a_value_says_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"imgsz = 100 must be 64 to 4096, a multiple of 32"):
        TrainConfig(imgsz=100)
    with pytest.raises(ConfigError, match=r"accumulate = 3 must be a divisor of batch, 16"):
        TrainConfig(accumulate=3)
    with pytest.raises(ConfigError, match=r"backbone_width = 48 must be 64 \(efficientnet_lite2\)"):
        TrainConfig(backbone="efficientnet_lite2", backbone_width=48)
    with pytest.raises(ConfigError, match=r"backbone_width = 20 must be 16 to 512, a multiple of 8 \(resnet50\)"):
        TrainConfig(backbone_width=20)
    with pytest.raises(
        ConfigError,
        match=r"pretrained = True must be false .* than efficientnet_lite0, .*lite2; ResNets take a checkpoint",
    ):
        TrainConfig(pretrained=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data = "DIOR"', "data = 'DIOR' is a text, not a list of them"),
        ('native = "false"', "native = 'false' is neither true nor false"),
        ("batch = 8.0", "batch = 8.0 is not a whole number"),
        ("epochs = true", "epochs = True is not a whole number"),
    ],
)
def test_values_of_another_type_are_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_recipe(tmp_path / "a.toml")
