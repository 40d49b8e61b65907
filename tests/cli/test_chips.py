"""`lcageo chips` as a user meets it, up to the training that takes what it made."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.chip_runs import PLACES
from support.commands import Run
from support.scenes import damaged_scene

from lcageo.scene import prefetch


def test_train_takes_what_chips_makes(run: Run, labels: Path, tmp_path: Path) -> None:
    made = run(
        *("chips", "scene.tif", "--labels", labels, "--class-field", "kind", "-o", "chips", "--size", 128),
        *("--block", 64, "--val", 0.3),
    )
    assert made.code == 0, made.err
    assert made.out.split() == ["chips/train.json", "chips/val.json", "chips/split/scene.png"]
    table = " ".join(made.err.split())
    assert "labels of square" in table and "split by blocks of 64 m" in table
    checked = run("data", "check", "chips/train.json", "--val", "chips/val.json")
    assert checked.code == 0, checked.out + checked.err
    line = made.err.splitlines()[-1]  # to paste
    assert line.startswith("lcageo train ") and "--classes square --gsd 0.4,0.6 --imgsz 128 --minutes 10" in line
    small = ["--preset", "lca", "--backbone", "resnet18", "--backbone-width", 16, "--channels", 16, "--head-convs", 1]
    command = shlex.split(line.partition("lcageo ")[2].replace("--from lca-s ", "").replace("--minutes 10 ", ""))
    trained = run(*command, *small, "--norm", "gn", "--epochs", 1, "--batch", 4, "--workers", 0)
    assert trained.code == 0, trained.err
    card = (tmp_path / "chips-model" / "model.toml").read_text()
    assert '"square"' in card and "tile_size = 128" in card


def test_unreadable_parts_end_with_3(run: Run, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "RETRY_AFTER_S", 0.0)
    damaged_scene(tmp_path / "holed.tif", [9], PLACES)
    made = run("chips", "holed.tif", "--labels", labels, "-o", "chips", "--class", "a", "--size", 64, "--overlap", 0)
    assert made.code == 3 and "1 tile could not be read; the first: scene 'holed.tif' cannot be read" in made.err
    assert (tmp_path / "chips" / "train.json").exists()


def test_without_validation_there_is_no_val(run: Run, labels: Path, tmp_path: Path) -> None:
    made = run("chips", "scene.tif", "--labels", labels, "-o", "chips", "--class", "a", "--val", 0, "--size", 128)
    assert made.code == 0 and made.out.split() == ["chips/train.json", "chips/split/scene.png"]
    assert "chips/train.json --from" in made.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "has no attribute class, label, name, category, classname, class_name; it has kind"),
        (("--class", "a", "--class-field", "kind"), 2, "class-field and class cannot be combined"),
        (("--class", "a", "--stretch", "much"), 2, "is not a range"),
        (("--class", "a", "--bands", "7"), 2, "does not fit scene"),
        (("--class", "a", "--aoi", "none.gpkg"), 2, "--aoi 'none.gpkg' does not exist"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    run: Run, labels: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    outcome = run("chips", "scene.tif", "--labels", labels, "-o", "chips", *arguments)
    assert outcome.code == code and message in outcome.err and not (tmp_path / "chips" / "train.json").exists()


def test_the_command_fits_odd_sizes_and_names(run: Run, labels: Path) -> None:
    """A chip of 100 pixels becomes one of 128, whose pixels are finer; --classes cannot have a comma in a name."""
    options = ("--class", "hall, large", "--val", 0, "--size", 100)
    made = run("chips", "scene.tif", "--labels", labels, "-o", "chips", *options)
    words = shlex.split(made.err.splitlines()[-1])
    assert made.code == 0 and "--classes" not in words and words[words.index("--imgsz") + 1] == "128"
    gsd = [float(part) for part in words[words.index("--gsd") + 1].split(",")]
    assert gsd == pytest.approx([0.5 * share * 100 / 128 for share in (0.8, 1.2)], rel=0.01)
