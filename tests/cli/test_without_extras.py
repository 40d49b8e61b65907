"""A plain `pip install lcageo`: everything but training and measuring works, and these say what they require."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import geopandas
import pytest
from support.bare import TRAIN_EXTRA, bare_environment
from support.commands import Run
from support.makers import voc_object, voc_xml, write_dior
from support.scenes import UTM, noise, write_scene
from support.shapes import write_shapes

WITHOUT_IT = (
    "detect scene.tif --model {model} --score 0.02 -o found.gpkg --quicklook found.png --review review.gpkg",
    "batch scene.tif --model {model} --score 0.02 --out results",
    "filter found.gpkg best.geojson --top 5",
    "report scene.tif found.gpkg -o page.html",
    "info scene.tif --model {model}",
    "models list",
    "export {model} -o model.onnx --formats stac,emd",
    "chips scene.tif --labels found.gpkg --class-field class -o chips",
    "evaluate --layer best.geojson --truth found.gpkg",
)


@pytest.mark.slow
def test_all_but_training_and_measuring_works_without_the_train_extra(tmp_path: Path, untrained: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(300, 300), transform=UTM)
    environment = bare_environment(tmp_path / "bare", TRAIN_EXTRA)
    for line in WITHOUT_IT:
        command = [sys.executable, "-m", "lcageo", *(part.format(model=untrained) for part in line.split())]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert len(geopandas.read_file(tmp_path / "best.geojson")) == 5
    assert (tmp_path / "results" / "survey.gpkg").is_file() and (tmp_path / "page.html").is_file()


@pytest.mark.parametrize(
    ("package", "line", "what"),
    [
        ("faster_coco_eval", "train --data shapes.json --val shapes.json --out run", "measuring average precision"),
        ("faster_coco_eval", "evaluate --model {model} --data shapes.json", "measuring average precision"),
        ("matplotlib", "evaluate --model {model} --data shapes.json --plots plots", "drawing plots"),
        ("defusedxml", "data check DIOR", "reading VOC XML"),
        ("defusedxml", "train --data DIOR --out run", "reading VOC XML"),
        ("defusedxml", "evaluate --model {model} --data DIOR", "reading VOC XML"),
        ("yaml", "data check yolo/data.yaml", "reading YOLO's data.yaml"),
        ("tensorboard", "train --data shapes.json --val shapes.json --out run --imgsz 128 --tensorboard", "--tensorb"),
    ],
)
def test_a_command_that_requires_a_package_says_so(
    package: str, line: str, what: str, run: Run, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shapes(tmp_path / "shapes.json", 4, seed=0)
    write_dior(tmp_path / "DIOR", {"00001": voc_xml(voc_object("ship"))})
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "data.yaml").write_text("train: images\nnames: [ship]\n")
    for name in [name for name in sys.modules if name.split(".")[0] == package or "torch.utils.tensorboard" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # Python's own mark of a module that is not installed
    outcome = run(*(part.format(model=untrained) for part in line.split()))
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith(f"error: {what}") and last.endswith(f'requires {package}: pip install "lcageo[train]"')
    assert not (tmp_path / "run" / "model.toml").exists() and not (tmp_path / "plots").exists()
