"""The line about a model's restricted use, by the commands that run one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import Run
from support.scenes import noise, write_scene
from support.shapes import write_shapes

from lcageo.runtime.catalog import find_card, write_card

LINE = "model 'untrained' is for research use only; licence of the weights: data of a university"
TRAIN = "--imgsz 128 --epochs 1 --batch 4 --precision fp32 --workers 0"


@pytest.fixture(autouse=True)
def new_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCAGEO_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def restricted(untrained: Path, tmp_path: Path) -> Path:
    card = replace(find_card(str(untrained)), restriction="research use only", licence="data of a university")
    folder = tmp_path / "restricted"
    folder.mkdir()
    (folder / card.weights.name).write_bytes(card.weights.read_bytes())
    write_card(card, folder / "model.toml")
    return folder


def test_detect_says_it_once_and_with_v_always(run: Run, restricted: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(100, 100))
    command = ("detect", "scene.tif", "--model", restricted, "--overwrite", "--backend", "torch")
    said = [run(*command, *more) for more in (["-q"], [], [], ["-v"], ["-q", "-v"])]
    assert [outcome.code for outcome in said] == [0] * 5
    assert [outcome.err.count(LINE) for outcome in said] == [0, 1, 0, 1, 0]  # -q has shown nothing, so [] is the first
    assert all(LINE not in outcome.out for outcome in said)


@pytest.mark.parametrize(
    "line",
    [
        "batch scene.tif --model {model} --out results --backend torch",
        "detect scene.tif --model {model} --dry-run --backend torch",
        "evaluate --model {model} --data shapes.json --backend torch",
        "export {model} -o model.onnx",
    ],
)
def test_every_command_that_runs_a_model_says_it(line: str, run: Run, restricted: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(100, 100))
    write_shapes(tmp_path / "shapes.json", 2, seed=0)
    outcome = run(*(part.format(model=restricted) for part in line.split()))
    assert outcome.code == 0 and outcome.err.splitlines().count(LINE) == 1


def test_bench_says_it(run: Run, restricted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcageo.inference.bench.measure_each", lambda *_: [])
    assert LINE in run("bench", "--model", restricted).err


def test_a_fine_tuned_model_keeps_the_restriction_and_an_own_one_has_none(
    run: Run, restricted: Path, tmp_path: Path
) -> None:
    for name, seed in (("train", 0), ("val", 1)):
        write_shapes(tmp_path / f"{name}.json", 4, seed=seed)
    train = ("train", "--data", "train.json", "--val", "val.json", *TRAIN.split())
    tuned = run(*train, "--from", restricted, "--out", "tuned")
    assert tuned.code == 0 and LINE in tuned.err
    small = ("--backbone", "resnet18", "--backbone-width", 16, "--channels", 16)
    assert run(*train, *small, "--out", "own").code == 0
    assert run(*train, *small, "--out", "named", "--licence", "mine", "--restriction", "teaching only").code == 0
    cards = [find_card(str(tmp_path / name)) for name in ("tuned", "own", "named")]
    assert [card.restriction for card in cards] == ["research use only", "", "teaching only"]
    assert cards[0].licence == "that of the training data; started from untrained (data of a university)"
    assert [card.licence for card in cards[1:]] == ["that of the training data", "mine"]


def test_models_shows_it(run: Run, restricted: Path, untrained: Path) -> None:
    table, _, _ = run("models", "list").out.partition("\n\n")
    rows = {line.split()[0]: line for line in table.splitlines()}
    assert "use of the weights" in rows["model"] and "research use only" in rows["lca-s"]
    assert "see its licence" in rows["lca-s-open"]
    assert {one["name"]: one["restriction"] for one in json.loads(run("models", "list", "--json").out)} == {
        "lca-m": "research use only", "lca-s": "research use only", "lca-s-int8": "research use only",
        "lca-s-open": None,
    }  # fmt: skip
    for model, words in ((restricted, "research use only"), (untrained, "see its licence")):
        assert re.search(rf"^use of the weights +{words}$", run("models", "info", model).out, re.MULTILINE)
