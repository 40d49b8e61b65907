"""`lcageo doctor` as a user meets it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psutil
import rasterio
from support.bare import bare_environment
from support.commands import Run

import lcageo


def test_the_report_names_what_runs_the_default_model(run: Run) -> None:
    outcome = run("doctor")
    assert outcome.code == 0, outcome.err
    rows = dict(re.findall(r"^(\S[\w ]*?) {2,}(.+)$", outcome.out, re.MULTILINE))
    assert rows["lcageo"].startswith(f"{lcageo.__version__}, Python {sys.version.split()[0]}")
    assert rows["GDAL"].startswith(f"{rasterio.__gdal_version__}, reads GTiff")
    assert rows["runs models"].startswith("lca-s with openvino")


def test_json_has_numbers_that_psutil_agrees_with(run: Run) -> None:
    health = json.loads(run("doctor", "--json").out)
    assert health["memory_total_mb"] == round(psutil.virtual_memory().total / 1e6)
    assert health["chosen"].endswith(" on cpu") and health["model"] == "lca-s"
    assert health["backends"] == {"torch": True, "compiled": True, "openvino": True, "onnx": True}


def test_where_nothing_runs_models_it_fails_and_names_the_command(tmp_path: Path) -> None:
    environment = bare_environment(tmp_path, ("torch", "openvino", "onnxruntime"))
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        "hidden = {'torch', 'openvino', 'onnxruntime'}\n"
        "sys.modules.update(dict.fromkeys(hidden))\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: None if name in hidden else real(name, package)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "lcageo", "doctor"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and re.search("^runs models +nothing$", done.stdout, re.MULTILINE), done.stderr
    assert 'pip install "lcageo[onnx]"' in done.stdout and "scenes cannot be searched here" in done.stderr
