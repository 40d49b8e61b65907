"""What is installed: the public names, and a wheel that works away from the repository."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

import pytest
import trove_classifiers
import yaml
from conftest import REPOSITORY
from support.untrained import make_untrained_model

import lcageo
from lcageo.network_config import BACKBONES
from lcageo.runtime.catalog import shipped_cards
from lcageo.runtime.onnx_structure import of_every_size, structure_path


def test_the_public_names_are_deliberate() -> None:
    assert sorted(lcageo.__all__) == [
        "Appearance", "Backend", "Calibration", "DetectConfig", "DetectOptions", "Detections", "EdgeNodata", "Engine",
        "Expected", "Georeference", "Hole", "Layout", "LcageoError", "MergeMetric", "ModelCard", "NetworkConfig",
        "Norm", "Precision", "Predictor", "Preset", "Progress", "RunRecord", "Scene", "SceneGrid", "SceneInfo",
        "SceneResult", "SceneSummary", "Stretch", "TileCounts", "ValueRange", "__version__", "detect", "detect_scene",
        "find_card", "load_predictor", "open_scene",
    ]  # fmt: skip
    for name in lcageo.__all__:
        assert getattr(lcageo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lcageo.nonsense


def _names_in(annotation: ast.expr | None) -> set[str]:
    return {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} if annotation else set()


def _names_shown(node: ast.ClassDef) -> set[str]:
    """Names in the types of a class's public attributes, and in what its public methods return."""
    shown = set[str]()
    for member in node.body:
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            shown |= set() if member.target.id.startswith("_") else _names_in(member.annotation)
        if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
            shown |= _names_in(member.returns)
    return shown


def test_every_type_that_a_public_function_returns_is_public() -> None:
    trees = [ast.parse(path.read_text()) for path in (REPOSITORY / "lcageo").rglob("*.py")]
    nodes = [node for tree in trees for node in tree.body]
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name in lcageo.__all__]
    met, todo = set[str](), {name for function in functions for name in _names_in(function.returns)}
    while todo := (todo & classes.keys()) - met:
        met |= todo
        todo = {name for one in todo for name in _names_shown(classes[one])}
    assert {"SceneResult", "Detections"} <= met
    assert met - set(lcageo.__all__) == set()


def test_importing_lcageo_is_light() -> None:
    code = "import sys, lcageo; print(*{'torch', 'rasterio', 'geopandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_every_licence_inside_is_named_and_every_shipped_model_has_one() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    texts = {path.stem: path.read_text() for path in (REPOSITORY / "models" / "licenses").iterdir()}
    assert set(project["license"].split(" AND ")) == {"MIT", *texts}
    assert (REPOSITORY / "LICENSE").read_text().startswith("MIT License")
    for card in shipped_cards():
        (licence,) = [name for name, text in texts.items() if f"({card.name}.toml, {card.weights.name})" in text]
        assert card.licence in texts[licence].splitlines()
        assert licence.startswith("LicenseRef-") == bool(card.restriction)
        assert card.restriction in texts[licence]


@pytest.mark.parametrize("name", [name for name, family in BACKBONES.items() if family.pretrained])
def test_the_notice_of_a_pretrained_backbone_is_kept(name: str) -> None:
    file = BACKBONES[name].pretrained
    assert file is not None
    folder, about = REPOSITORY / "models" / "licenses", distribution(file.package)
    kept = (folder / f"{file.licence}.txt").read_text()
    (original,) = [path for path in about.files or () if path.name == "LICENSE"]
    notice = original.read_text().partition("\n")[2].strip()  # without its heading
    assert file.package in kept and notice in kept and "4. Redistribution." in kept
    for card in shipped_cards():
        if card.network.backbone == name and card.has_fixed_statistics:
            assert f"{file.package} ({file.licence})" in card.licence


def test_the_classifiers_exist_and_say_that_it_is_typed() -> None:
    classifiers = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["classifiers"]
    assert set(classifiers) <= trove_classifiers.classifiers and "Typing :: Typed" in classifiers


def test_the_citation_has_what_its_format_requires() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["message"] and citation["type"] == "software"
    assert (citation["title"], citation["version"]) == ("lcageo", lcageo.__version__)
    assert citation["authors"] == [{"name": "The lcageo developers"}]
    (paper,) = citation["references"]
    assert {"authors", "title", "type"} <= set(paper)
    assert paper["title"].startswith("Aligning Localization and Classification")
    assert [one["family-names"] for one in paper["authors"]] == ["Zhang", "Ju", "Xiao", "Yang", "Lam"]


@pytest.mark.slow
def test_a_wheel_carries_the_models_and_works_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if name.startswith(("lcageo/", "models/", "pyproject", "README", "LICENSE", "CHANGELOG")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((REPOSITORY / name).read_bytes())
    folder = make_untrained_model(tmp_path / "model")
    card = (folder / "model.toml").read_text()
    (source / "models" / "untrained.toml").write_text(card)
    (source / "models" / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        names = archive.namelist()
    pages = {f"lcageo/report/assets/{file.name}" for file in (REPOSITORY / "lcageo" / "report" / "assets").iterdir()}
    pages |= {f"lcageo/qgis/plugin/{name}" for name in ("icon.png", "icon.svg", "metadata.txt")}
    shipped = {f"{card.name}.toml" for card in shipped_cards()} | {card.weights.name for card in shipped_cards()}
    shipped |= {
        structure_path(sized).name for card in shipped_cards() if not card.is_quantised for sized in of_every_size(card)
    }
    models = {f"lcageo/models/{name}" for name in (*shipped, "untrained.toml", "model.safetensors")}
    info = f"lcageo-{lcageo.__version__}.dist-info"
    licences = {
        "LICENSE", "models/licenses/Apache-2.0.txt", "models/licenses/CC-BY-4.0.txt",
        "models/licenses/LicenseRef-lcageo-research-use.txt",
    }  # fmt: skip
    about = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    about |= {f"{info}/licenses/{name}" for name in licences}
    assert {name for name in names if not name.endswith(".py")} == {"lcageo/py.typed", *pages, *models, *about}
    metadata = HeaderParser().parsestr((site / info / "METADATA").read_text("utf-8"))
    assert metadata["License-Expression"] == "MIT AND Apache-2.0 AND CC-BY-4.0 AND LicenseRef-lcageo-research-use"
    assert set(metadata.get_all("License-File", [])) == licences and metadata["Metadata-Version"] == "2.4"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "lcageo", *arguments]
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    place = subprocess.run(
        [sys.executable, "-c", "import lcageo; print(lcageo.__file__)"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert place.startswith(str(site))
    assert "untrained" in run("models", "list")
    assert "intact" in run("models", "verify", "untrained")
