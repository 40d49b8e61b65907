"""The site builds, with a page of every guide, and a broken link ends it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import make_site
import pytest
from conftest import REPOSITORY

import lcageo

MKDOCS = (REPOSITORY / "mkdocs.yml").read_text()


@pytest.mark.slow
def test_the_site_has_every_page_command_and_public_name(tmp_path: Path) -> None:
    program = [sys.executable, "examples/make_site.py", tmp_path / "site"]
    done = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in re.findall(r": (\S+)\.md$", MKDOCS, re.MULTILINE):
        assert (
            tmp_path / "site" / f"{page.removesuffix('README')}.html".replace("/.html", "/index.html")
        ).exists() or (tmp_path / "site" / page.replace("README", "index")).with_suffix(".html").exists(), page
    python = (tmp_path / "site" / "reference" / "python.html").read_text()
    for name in set(lcageo.__all__) - {"__version__"}:
        assert re.search(rf'id="lcageo\.[\w.]*{name}"', python), name
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text()
    assert "lcageo models graph" in commands and "--merge-metric" in commands


@pytest.mark.slow
def test_a_broken_link_ends_it(tmp_path: Path) -> None:
    make_site.collect()
    (make_site.PAGES / "SECURITY.md").write_text("[a page](examples/nowhere.md)")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1 and "examples/nowhere.md" in done.stderr


def test_every_guide_is_in_the_navigation() -> None:
    guides = {path.name for path in (REPOSITORY / "examples").glob("*.md")}
    assert guides == set(re.findall(r": examples/(\S+\.md)$", MKDOCS, re.MULTILINE))


def test_tables_of_json_name_nested_entries() -> None:
    text = "\n".join(make_site.json_text())
    assert "| `probably_right[].low` | number |" in text and "| `bands.count` | integer |" in text
