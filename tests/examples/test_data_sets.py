"""The guide to data sets: its commands run on small sets of its names, and its table is the code's."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from support.shapes import write_shapes

from lcageo.config import FormatName
from lcageo.data.annotations import SplitName
from lcageo.data.convert import convert_sets
from lcageo.data.sets import read_source

GUIDE = (REPOSITORY / "examples" / "data_sets.md").read_text()
COMMANDS = [line.removeprefix("$ lcageo ") for line in GUIDE.splitlines() if line.startswith("$ lcageo ")]
HURRIED = {"--minutes 30": "--minutes 0.05 --batch 2 --imgsz 128 --device cpu --workers 0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sets that the guide names."""
    for name, seed in (("train", 1), ("val", 2)):
        write_shapes(tmp_path / "chips" / f"{name}.json", 4, seed)
    sets = {name: read_source(tmp_path / "chips", SplitName(name)) for name in ("train", "val")}
    for to in (FormatName.YOLO, FormatName.VOC):
        (tmp_path / to).mkdir()
        convert_sets(sets, tmp_path / to, to)
    write_shapes(tmp_path / "coco.json", 4, 3)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pictures").mkdir()
    shutil.copy(tmp_path / "coco.json", tmp_path / "elsewhere" / "coco.json")
    for image in tmp_path.glob("coco_*.png"):
        shutil.copy(image, tmp_path / "pictures" / image.name)
    (tmp_path / "boxes.csv").write_text("image,x1,y1,x2,y2,label\ncoco_0.png,4,4,30,30,ship\n")
    return tmp_path


@pytest.mark.slow
def test_its_commands_run(folder: Path) -> None:
    assert len(COMMANDS) == 9
    for command in COMMANDS:
        for slow, quick in HURRIED.items():
            command = command.replace(slow, quick)
        program = [sys.executable, "-m", "lcageo", *shlex.split(command)]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_it_names_every_format() -> None:
    (choices,) = re.findall(r"`--format` \(([^)]*)\)", " ".join(GUIDE.split()))
    assert re.findall("`([a-z]+)`", choices) == list(FormatName)
