"""The house as CONTRIBUTING.md draws it: its rooms, which may use which, and what only some of them may import."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lcageo"

GROUND = (
    "errors version config network_config detections extras geodesy palette toml nms stop database paths "
    "plain_path layer_source remote transform calibration appearance plural"
)
TRADES = """
    vector     ->
    pictures   ->
    scene      ->
    data       -> scene
    detector   ->
    runtime    -> detector
    metrics    ->
"""
TASKS = """
    journal    ->
    inference  -> journal
    survey     -> inference journal
    selection  -> inference
    report     -> survey
    chips      -> inference
    evaluation -> inference
    training   -> evaluation
    export     -> inference
    doctor     ->
    qgis       ->
"""
"""A room may use the rooms behind its arrow, and all below: tasks stand on trades, trades on the ground."""

ONLY_IN = {
    "rasterio": ("scene",),
    "shapely": ("scene.aoi", "vector", "survey", "selection", "chips", "evaluation", "report"),
    "geopandas": ("scene.aoi", "vector", "survey", "selection", "chips", "evaluation", "report", "inference"),
    "sqlalchemy": ("vector.postgis",),
    "psycopg": ("vector.postgis",),
    "matplotlib": ("metrics.plots", "training.curves"),
    "faster_coco_eval": ("metrics.coco",),
    "defusedxml": ("data.formats.voc",),
    "tensorboard": ("training.log",),
    "torch": ("detector", "training", "data.dataset", "runtime"),
    "openvino": ("runtime.openvino_backend",),
    "onnxruntime": ("runtime.onnx_backend", "export.arcgis_function"),
    "distributed": ("inference.cluster", "inference.cluster_worker"),
    "typer": ("cli",),
    "tqdm": ("cli",),
    "qgis": ("qgis.plugin",),
    "processing": ("qgis.plugin",),
    "click": (),  # Typer carries a private copy and does not catch the public one's exceptions
}
HEAVY = {"numpy", "torch", "tqdm", "rasterio", "shapely", "geopandas", "pandas", "pyproj", "pyogrio", "pyarrow", "PIL"}
"""Packages that a command imports only when it runs, so that `lcageo --help` answers at once."""
MOST_LINES = 350
MOST_MODULES = 21


def _drawn(picture: str) -> dict[str, set[str]]:
    rows = [line.split("->") for line in picture.strip().splitlines()]
    return {room.strip(): set(others.split()) for room, others in rows}


def _allowed() -> dict[str, set[str]]:
    """What each room may import besides itself."""
    ground, trades, tasks = set(GROUND.split()), _drawn(TRADES), _drawn(TASKS)
    rooms = {name: ground - {name} for name in ground}
    rooms |= {name: others | ground for name, others in trades.items()}
    rooms |= {name: others | set(trades) | ground for name, others in tasks.items()}
    rooms["cli"] = set(tasks) | set(trades) | ground
    rooms["__main__"] = {"cli"}
    rooms["__init__"] = set(tasks) | set(trades) | ground
    return rooms


ALLOWED = _allowed()
FILES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


class _WithoutTypes(ast.NodeTransformer):
    """Leaves out what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.If | None:  # as ast calls it
        is_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_for_types else node


@cache
def imports(path: Path, for_types: bool = True) -> set[str]:
    """Full names of the modules a file imports, wherever in it."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree if for_types else _WithoutTypes().visit(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _rooms_used(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path)]
    return {part[1] for part in parts if part[0] == "lcageo" and len(part) > 1 and part[1] in ALLOWED}


def test_every_room_is_drawn() -> None:
    assert {_name(path).split(".")[0] for path in FILES} == set(ALLOWED)
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    for room in (*_drawn(TASKS), *_drawn(TRADES), "cli"):
        assert f"\n    {room}/ " in page, f"CONTRIBUTING.md does not draw {room}/"
    assert f"-- the ground: {GROUND}\n" in page


def test_the_files_that_the_design_page_names_are_there() -> None:
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    for name in set(re.findall(r"(?:[a-z_]+/)+[a-z_]+\.py\b", page)):
        assert (PACKAGE / name).is_file() or (PACKAGE.parent / name).is_file(), name


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_follow_the_arrows(path: Path) -> None:
    room = _name(path).split(".")[0]
    wrong = _rooms_used(path) - ALLOWED[room] - {room}
    assert not wrong, f"{_name(path)} imports {', '.join(sorted(wrong))}; {room} may not"


def test_no_rooms_use_each_other() -> None:
    used: dict[str, set[str]] = {}
    for path in FILES:
        room = _name(path).split(".")[0]
        used[room] = used.get(room, set()) | _rooms_used(path) - {room}
    graphlib.TopologicalSorter(used).prepare()  # raises CycleError, which names the circle


def test_no_modules_import_each_other() -> None:
    """Not even inside a room, other than for types."""
    names = {f"lcageo.{_name(path)}".removesuffix(".__init__") for path in FILES}
    used = {
        name: imports(path, for_types=False) & names - {name}
        for path in FILES
        if (name := f"lcageo.{_name(path)}".removesuffix(".__init__")) != "lcageo"
    }
    graphlib.TopologicalSorter(used).prepare()


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_package_stays_in_the_rooms_that_are_for_it(path: Path) -> None:
    own = _name(path)
    for root in {name.split(".")[0] for name in imports(path, for_types=False)} & ONLY_IN.keys():
        assert any(own == place or own.startswith(f"{place}.") for place in ONLY_IN[root]), f"{own} imports {root}"


def test_the_qgis_plugin_stands_alone_and_runs_in_an_older_python() -> None:
    """It is copied into QGIS, whose Python (3.9 with QGIS 3.22 on Windows) has neither lcageo nor its packages."""
    files = [path for path in FILES if _name(path).startswith("qgis.plugin.")]
    assert len(files) > 10
    own = {path.stem for path in files}
    for path in files:
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        roots = {name.split(".")[0] for name in imports(path)}
        assert roots <= {*sys.stdlib_module_names, "qgis", "processing", *own}, _name(path)
        assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))
        assert "from __future__ import annotations" in path.read_text()


def imported_at_once(path: Path, seen: set[Path] | None = None) -> set[str]:
    """Packages that are loaded when a module is imported, also by the modules of ours that it imports."""
    seen = set() if seen is None else seen
    if path in seen:
        return set()
    seen.add(path)
    packages: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            packages.add(name.split(".")[0])
            own = PACKAGE.parent / f"{name.replace('.', '/')}.py"
            packages |= imported_at_once(own, seen) if own.is_file() else set()
    return packages


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "cli"], ids=_name)
def test_commands_import_heavy_packages_only_when_run(path: Path) -> None:
    assert not imported_at_once(path) & HEAVY


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_every_module_has_a_test_file_of_its_name(path: Path) -> None:
    if path.name not in ("__init__.py", "__main__.py"):
        own = path.relative_to(PACKAGE)
        assert (PACKAGE.parent / "tests" / own.with_name(f"test_{own.name}")).is_file()


def test_only_the_application_turns_errors_into_exit_codes() -> None:
    for path in (path for path in FILES if _name(path) not in ("errors", "cli.app")):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        attributes = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not {"SystemExit"} & names and not {"exit_code", "exit", "_exit", "Exit"} & attributes, _name(path)


def test_modules_and_rooms_stay_small() -> None:
    long = [_name(path) for path in FILES if len(path.read_text().splitlines()) > MOST_LINES]
    full = [
        room.name
        for room in (path.parent for path in FILES if path.name == "__init__.py")
        if len([path for path in room.glob("*.py") if path.name != "__init__.py"]) > MOST_MODULES
    ]
    assert not long and not full
