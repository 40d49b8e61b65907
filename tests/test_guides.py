"""The commands of README and of the guides run, their figures are the code's, and all commands are named."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import geopandas
import pytest
import shapely
import typer.main
from conftest import REPOSITORY
from support.makers import voc_object, voc_xml, write_dior
from support.scenes import UTM, noise, write_scene

from lcageo.cli.app import app
from lcageo.runtime.catalog import find_card

GUIDES = ("commands", "formats", "results", "surveys", "training", "clusters", "speed")  # other guides have other tests
PAGES = {name: (REPOSITORY / "examples" / f"{name}.md").read_text("utf-8") for name in GUIDES}
PAGES["README"] = (REPOSITORY / "README.md").read_text("utf-8")
README, COMMANDS, TRAINING = PAGES["README"], PAGES["commands"], PAGES["training"]
MOST_WORDS = 900


def listings(page: str) -> list[list[str]]:
    """The commands of each listing, which build on each other; `$ make` is for people."""
    blocks = (block for _, block in re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL))
    return [found for block in blocks if (found := re.findall(r"^\$ (lcageo .*)$", block, re.MULTILINE))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its folder `given` has what the commands name: scenes, a survey, an area, labelled images."""
    place = tmp_path / "given"
    place.mkdir()
    write_scene(place / "scene.tif", noise(300, 300))
    write_scene(place / "other.tif", noise(200, 200, seed=1))
    (place / "survey").mkdir()
    (place / "profile").mkdir()
    for number in range(2):
        write_scene(place / "survey" / f"{number}.tif", noise(200, 200, seed=number), transform=UTM)
    area = shapely.box(UTM.c, UTM.f - 100, UTM.c + 100, UTM.f)
    geopandas.GeoDataFrame(geometry=[area], crs="EPSG:32633").to_file(place / "port.gpkg")
    geopandas.GeoDataFrame({"class": ["ship"]}, geometry=[area], crs="EPSG:32633").to_file(place / "truth.gpkg")
    circles = [shapely.Point(UTM.c + x, UTM.f - y).buffer(4) for x in range(10, 150, 20) for y in range(10, 150, 20)]
    huts = geopandas.GeoDataFrame({"type": ["hut"] * len(circles)}, geometry=circles, crs="EPSG:32633")
    huts.to_file(place / "labels.gpkg")
    record = voc_xml(voc_object("ship"), voc_object("airplane", (10, 10, 30, 25)))
    write_dior(place / "DIOR", {"00001": record, "00002": record})
    for empty in ("00101", "00201"):
        (place / "DIOR" / "Annotations" / "Horizontal Bounding Boxes" / f"{empty}.xml").write_text(record)
    return tmp_path


# What takes hours, in minutes: the options are the same ones.
HURRIED = {
    "--minutes 30": "--minutes 0.05 --batch 2",
    "--backbone resnet50 --imgsz 800 --epochs 12": "--backbone resnet18 --imgsz 128 --epochs 2",
    "--recipe examples/table1/1x.toml --backbone-weights resnet50.pth": (
        f"--recipe '{REPOSITORY}/examples/table1/1x.toml' --backbone resnet18 --imgsz 128 --epochs 2 --precision fp32"
    ),
    "--bootstrap 1000": "--bootstrap 10",
    "--tiles 64": "--tiles 1",
}


CHIPS = "lcageo chips scene.tif --labels labels.gpkg --class-field type -o chips"
OWN = "lcageo train --data chips/train.json --val chips/val.json --from lca-s --imgsz 64 --minutes 30 --out runs/own"
MADE_BY = {
    "found.gpkg": "lcageo detect scene.tif -o found.gpkg",
    "results": "lcageo batch survey --out results",
    "results/survey.gpkg": "lcageo batch survey --out results",
    "chips": CHIPS,
    "chips/train.json": CHIPS,
    "runs/own": OWN,
}
"""What a listing or an example takes from another one, and the command that makes it."""


def run(line: str, folder: Path) -> None:
    """Runs a command, and before it those that make what it reads."""
    words = shlex.split(line)
    for before, word in pairwise(words[1:]):  # the first is the command
        is_read = before not in ("-o", "--output", "--out") and not (folder / word).exists()
        if is_read and (maker := MADE_BY.get(word)):
            run(maker, folder)
    for slow, quick in HURRIED.items():
        line = line.replace(slow, quick)
    line = "lcageo bench --tiles 1" if line == "lcageo bench" else line
    program = [sys.executable, "-m", *shlex.split(line)]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_its_commands_run(page: str, folder: Path) -> None:
    for number, lines in enumerate(listings(PAGES[page])):
        own = folder / f"listing{number}"
        shutil.copytree(folder / "given", own)
        for line in lines:
            run(line, own)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if "```python" in text])
def test_its_python_runs(page: str, folder: Path) -> None:
    for code in re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL):
        program = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(program, cwd=folder / "given", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_readme_is_short_and_its_pictures_and_links_are_there() -> None:
    assert 700 <= len(README.split()) <= MOST_WORDS
    for page in (*PAGES, "own_labels"):
        path = REPOSITORY / ("README.md" if page == "README" else f"examples/{page}.md")
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8")):
            assert target.startswith("https://") or (path.parent / target).exists(), f"{path}: {target}"


def test_readme_s_figures_are_those_of_the_model_s_card() -> None:
    """One place decides them: the card that `ship_model.py` writes."""
    metrics = find_card(None).metrics
    names = {"NWPU VHR-10": "vhr10", "DIOR": "dior_fewshot", "HRSC2016": "hrsc2016"}
    rows = dict(re.findall(r"^\| ([\w -]+?)[:,] .*\| (\d\.\d{3}) \|$", README, re.MULTILINE))
    assert set(rows) == set(names)
    for name, figure in rows.items():
        assert float(figure) == pytest.approx(metrics[names[name]]["mAP50"], abs=0.0005), name


def test_every_extra_is_in_readme_or_in_its_guide() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = "".join(PAGES.values())
    for name in set(extras) - {"dev", "docs"}:
        assert f'".[{name}]"' in text or f'"lcageo[{name}]"' in text, name
    for name in re.findall(r'pip install "(?:lcageo|\.)\[([\w,]+)\]"', text):
        assert set(name.split(",")) <= set(extras), name


def commands() -> dict[str, str]:
    """Every command with its help."""
    found: dict[str, str] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", {})
        found |= {f"{name} {sub}": inner.help for sub, inner in below.items()} if below else {name: command.help}
    return found


@pytest.mark.parametrize("name", commands())
def test_every_command_is_named_and_has_help(name: str) -> None:
    assert f"| `lcageo {name}` |" in COMMANDS
    assert f"lcageo {name}" in commands()[name].partition("Examples:\n\n")[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", commands())
def test_the_examples_of_its_help_run(name: str, folder: Path) -> None:
    for line in re.findall(r"^- `(lcageo .*)`$", commands()[name].partition("Examples:\n\n")[2], re.MULTILINE):
        run(line, folder / "given")


def test_it_names_no_command_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `lcageo ([a-z ]+)` \|", COMMANDS, re.MULTILINE)) == set(commands())


def test_its_table_of_networks_is_what_is_counted() -> None:
    import torch

    from lcageo.detector.count import count_params, paper_flops, true_macs
    from lcageo.detector.presets import build_network
    from lcageo.network_config import NetworkConfig, Preset

    for preset in Preset:
        with torch.device("meta"):
            network = build_network(NetworkConfig(preset, 20))
        network.backbone.freeze(1)
        row = next(line for line in TRAINING.splitlines() if line.startswith("| ") and f"`{preset}`" in line)
        params, flops, macs = (float(cell) for cell in row.split("|")[2:5])
        assert params == pytest.approx(count_params(network) / 1e6, abs=5.1e-4)
        assert flops == pytest.approx(paper_flops(network, 800, 800) / 1e9, abs=5.1e-4)
        assert macs == pytest.approx(true_macs(network, 800, 800) / 1e9, abs=5.1e-4)
