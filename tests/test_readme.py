"""README's commands run, its figures are the code's, and it names every command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import geopandas
import pytest
import shapely
import typer.main
from conftest import REPOSITORY
from support.makers import voc_object, voc_xml, write_dior
from support.scenes import UTM, noise, write_scene

from lcageo.cli.app import app

README = (REPOSITORY / "README.md").read_text()
BLOCKS = [
    commands
    for block in re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
    if (commands := [line[2:] for line in block.splitlines() if line.startswith("$ lcageo ")])
]
"""The commands of each listing, which build on each other, and on no other listing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the README's commands name: scenes, a survey, an area, labelled images."""
    place = tmp_path
    write_scene(place / "scene.tif", noise(300, 300))
    write_scene(place / "other.tif", noise(200, 200, seed=1))
    (place / "survey").mkdir()
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
    return place


# What takes hours, in minutes: the options are the same ones.
HURRIED = {
    "--minutes 30": "--minutes 0.05 --batch 2",
    "--recipe examples/table1/1x.toml --backbone-weights resnet50.pth": (
        f"--recipe '{REPOSITORY}/examples/table1/1x.toml' --backbone resnet18 --imgsz 128 --epochs 2 --precision fp32"
    ),
    "--bootstrap 1000": "--bootstrap 10",
}


@pytest.mark.parametrize("commands", BLOCKS, ids=[block[0] for block in BLOCKS])
def test_its_commands_run(commands: list[str], folder: Path) -> None:
    for command in commands:
        for slow, quick in HURRIED.items():
            command = command.replace(slow, quick)
        program = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_its_python_runs(folder: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def commands() -> dict[str, str]:
    """Every command with its help."""
    found: dict[str, str] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", {})
        found |= {f"{name} {sub}": inner.help for sub, inner in below.items()} if below else {name: command.help}
    return found


@pytest.mark.parametrize("name", commands())
def test_every_command_is_named_and_has_help(name: str) -> None:
    assert f"| `lcageo {name}` |" in README
    assert f"Example: lcageo {name}" in " ".join(commands()[name].split())


def test_it_names_no_command_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `lcageo ([a-z ]+)` \|", README, re.MULTILINE)) == set(commands())


def test_its_table_of_networks_is_what_is_counted() -> None:
    import torch

    from lcageo.detector.count import count_params, paper_flops, true_macs
    from lcageo.detector.presets import build_network
    from lcageo.network_config import NetworkConfig, Preset

    for preset in Preset:
        with torch.device("meta"):
            network = build_network(NetworkConfig(preset, 20))
        network.backbone.freeze(1)
        row = next(line for line in README.splitlines() if line.startswith("| ") and f"`{preset}`" in line)
        params, flops, macs = (float(cell) for cell in row.split("|")[2:5])
        assert params == pytest.approx(count_params(network) / 1e6, abs=5.1e-4)
        assert flops == pytest.approx(paper_flops(network, 800, 800) / 1e9, abs=5.1e-4)
        assert macs == pytest.approx(true_macs(network, 800, 800) / 1e9, abs=5.1e-4)
