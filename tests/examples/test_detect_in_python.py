from __future__ import annotations

import sys
from pathlib import Path

import detect_in_python
import geopandas
import pytest
from support.scenes import noise, write_scene

import lcageo

pytestmark = pytest.mark.filterwarnings("ignore:model 'untrained' is untrained:UserWarning")


def test_it_writes_only_large_objects(
    tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(300, 300))
    options = ["--model", str(untrained), "--score", "0.03", "--least-area", "400", "--classes", "ship", "bridge"]
    monkeypatch.setattr(sys, "argv", ["detect_in_python.py", str(scene), str(tmp_path / "large.gpkg"), *options])
    detect_in_python.main()
    every = lcageo.detect(scene, model=untrained, score=0.03, classes=["ship", "bridge"])
    large = geopandas.read_file(tmp_path / "large.gpkg")
    assert 0 < len(large) < len(every)
    assert large["id"].tolist() == every["id"][every["area_m2"] >= 400].tolist()
    told = capsys.readouterr().out
    assert f"{len(every)} objects by model untrained, " in told
    for name, objects in large["class"].value_counts().items():
        assert any(line.split()[:2] == [name, str(objects)] for line in told.splitlines())
