"""Names that QGIS 3.22 with Qt 5 and QGIS 4 with Qt 6 both have: Debian's QGIS is the only one that tests can run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lcageo.qgis.installation import PLUGIN

FILES = sorted(PLUGIN.glob("*.py"))


def used(path: Path) -> Iterator[str]:
    """Dotted names that a module uses, without those that it calls."""
    tree = ast.parse(path.read_text())
    inner = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    inner |= {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    yield from (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node not in inner)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_members_of_enumerations_are_named_with_their_enumeration(path: Path) -> None:
    """`QgsX.Kind.Member`: Qt 6 has no other form, and QGIS keeps the names of 3.22 in it.

    Source:
        QGIS 3.40, python/PyQt6/core/auto_additions/qgis.py: aliases for former names of enumerations and members.
    """
    assert [name for name in used(path) if re.fullmatch(r"Q\w+\.[A-Z]\w*", name)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_qt_comes_from_qgis(path: Path) -> None:
    names = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in names if name.split(".")[0] in ("PyQt5", "PyQt6", "sip")}
    assert not re.search(r"\bexec_\(|\bQVariant\b", path.read_text())


def test_enumerations_are_used_at_all() -> None:
    members = {name for path in FILES for name in used(path) if re.fullmatch(r"Qgs\w+\.[A-Z]\w*\.[A-Z]\w*", name)}
    assert "QgsProcessingParameterNumber.Type.Double" in members
