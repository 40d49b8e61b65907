"""Builds the site of guides and references, and ends with an error where a link leads nowhere.

    python examples/make_site.py build/site          # `make docs`

The pages are the repository's own, at their own places, so that their links hold; the references are made here: every
command's help by Typer, Python's by mkdocstrings from the docstrings of what `lcageo` exports, JSON's from its schemas.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lcageo

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = REPOSITORY / "build" / "site-pages"
"""What mkdocs.yml calls docs_dir."""
COPIED = (
    "*.md", "LICENSE", "CITATION.cff", "constraints.txt", "pyproject.toml", "Makefile", ".ci/run", "models/*.md",
    "models/licenses/*", "examples/*.*", "examples/schemas/*", "examples/lca_s/*", "examples/table1/*",
    "examples/table1/results/*", "examples/table1/results/double-length/*",
    "tests/benchmarks/*.py",
)  # fmt: skip
"""Pages, and what they link to."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the site")
    arguments = parser.parse_args()
    collect()
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", arguments.out.absolute()]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # advertises another generator at every run
    sys.exit(subprocess.run(build, cwd=REPOSITORY, env=quiet).returncode)


def collect() -> None:
    """Copies the pages and writes the references."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for pattern in COPIED:
        for path in REPOSITORY.glob(pattern):
            if path.is_file():
                target = PAGES / path.relative_to(REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    reference = PAGES / "reference"
    reference.mkdir(parents=True)
    (reference / "commands.md").write_text(commands())
    (reference / "python.md").write_text(python())
    (reference / "json.md").write_text("\n".join(json_text()))


def commands() -> str:
    """The help of every command, as Markdown."""
    program = [
        sys.executable,
        "-m",
        "typer",
        "lcageo.cli.app",
        "utils",
        "docs",
        "--name",
        "lcageo",
        "--title",
        "Options",
    ]
    return subprocess.run(program, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout


def python() -> str:
    """A page of everything that `lcageo` exports."""
    names = [name for name in lcageo.__all__ if name != "__version__"]
    functions = [name for name in names if name.islower()]
    parts = ["# Python", "", "Everything that `import lcageo` offers."]
    for name in (*functions, *(name for name in names if name not in functions)):
        parts += ["", f"::: {getattr(lcageo, name).__module__}.{name}"]
    return "\n".join(parts) + "\n"


def json_text() -> Iterator[str]:
    """The schemas of JSON output, as a page of tables."""
    yield "# JSON\n"
    for path in sorted((REPOSITORY / "examples" / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        yield f"## {path.stem}\n\n{schema['title']} [Schema](../examples/schemas/{path.name})\n"
        yield "| entry | type | meaning |\n|---|---|---|"
        yield from rows(schema.get("items", schema), "")
        yield ""


def rows(schema: dict[str, Any], above: str) -> Iterator[str]:
    """Rows for the entries of an object, and for those inside them."""
    for name, entry in schema.get("properties", {}).items():
        kind = entry.get("type", "constant" if "const" in entry else "one of " + ", ".join(entry.get("enum", [])))
        types = " or ".join(kind) if isinstance(kind, list) else kind
        yield f"| `{above}{name}` | {types} | {entry['description']} |"
        yield from rows(entry, f"{above}{name}.")
        for below in (entry.get("items"), entry.get("additionalProperties")):
            if isinstance(below, dict):
                yield from rows(below, f"{above}{name}[].")


if __name__ == "__main__":
    main()
