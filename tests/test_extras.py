"""What each command requires: declared in pyproject.toml, and named where it is missing."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TypeGuard

import pytest
from conftest import REPOSITORY

from lcageo.errors import DeviceError, UsageError
from lcageo.extras import require
from lcageo.network_config import BACKBONES

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# The plugin runs in QGIS's own Python, which has none of our requirements.
FILES = sorted(path for path in (REPOSITORY / "lcageo").rglob("*.py") if "plugin" not in path.parts)


def _plain(name: str) -> str:
    """A distribution's name without version, extras and spelling: 'psycopg[binary]>=3.2' -> 'psycopg'."""
    return re.split(r"[\[<>=! ;]", name)[0].lower().replace("_", "-")


def _at_import(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run when the module is imported: not those in functions, nor those for a type checker."""
    for node in body:
        if _is_import(node):
            yield node
        elif isinstance(node, ast.ClassDef | ast.With | ast.Try):
            yield from _at_import(node.body)
        elif isinstance(node, ast.If) and not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield from _at_import(node.body + node.orelse)


def _roots(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"lcageo"}


def _extra(name: str) -> set[str]:
    return {_plain(entry) for entry in PROJECT["optional-dependencies"][name]}


def test_what_only_training_requires_is_no_dependency_and_is_imported_late() -> None:
    installed = packages_distributions()
    of_training = _extra("train")
    assert of_training >= {"faster-coco-eval", "matplotlib", "defusedxml", "tensorboard"}
    assert not of_training & {_plain(name) for name in PROJECT["dependencies"]}
    for path in FILES:
        for node in _at_import(ast.parse(path.read_text()).body):
            for root in _roots(node):
                late = {_plain(name) for name in installed[root]} & of_training
                assert not late, f"{path} imports {root} with the module; 'detect' must run without it"


def test_every_pretrained_backbone_is_in_its_extra_and_no_dependency() -> None:
    packages = {family.pretrained.package for family in BACKBONES.values() if family.pretrained}
    assert packages == _extra("pretrained") and not packages & {_plain(name) for name in PROJECT["dependencies"]}
    for name, entries in PROJECT["optional-dependencies"].items():
        if name != "dev":
            assert f",{name}," in re.sub(r"[\[\]]", ",", PROJECT["optional-dependencies"]["dev"][0]), entries


def _is_import(node: ast.AST) -> TypeGuard[ast.Import | ast.ImportFrom]:
    return isinstance(node, ast.Import | ast.ImportFrom)


def test_a_missing_package_is_named_with_its_extra() -> None:
    require("everything", "train", "numpy", "json")
    with pytest.raises(UsageError, match=r'^counting requires no_such_b, no_such_c: pip install "lcageo\[train\]"$'):
        require("counting", "train", "numpy", "no_such_b", "no_such_c")
    with pytest.raises(DeviceError, match=r"^counting requires no_such_b: "):
        require("counting", "train", "no_such_b", error=DeviceError)


def test_a_package_that_is_installed_but_broken_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"requires broken_package \(No module named 'no_such_library'\): pip"):
        require("counting", "train", "broken_package")
    (tmp_path / "unloadable.py").write_text("raise OSError('Error loading c10.dll')")
    with pytest.raises(UsageError, match=r"requires unloadable \(Error loading c10.dll\): pip"):
        require("counting", "train", "unloadable")
