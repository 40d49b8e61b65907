"""`lcageo detect` as a user meets it: what is printed, what is written, which exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import Run
from support.readers import read_layer
from support.scenes import noise, write_scene


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "scene.tif", noise(300, 400))


def test_detect_alone_writes_geojson_into_the_current_folder(
    run: Run, scene: Path, untrained: Path, tmp_path: Path
) -> None:
    outcome = run("detect", scene, "--model", untrained, "--score", "0.02")
    assert outcome.code == 0
    assert outcome.out == "scene.geojson\n"
    assert "untrained: its boxes are meaningless" in outcome.err and "tiles run" in outcome.err
    assert len(read_layer(tmp_path / "scene.geojson").rows) > 0


def test_several_formats_at_once_agree(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    outcome = run(
        "detect", scene, "--model", untrained, "--score", "0.02", "-o", "a.gpkg", "-o", "a.shp", "-o", "a.csv", "-q"
    )
    assert outcome.code == 0 and outcome.out.split() == ["a.gpkg", "a.shp", "a.csv"]
    assert outcome.err.count("\n") == 1  # only the warning
    scores = [
        [float(row["score"]) for row in read_layer(tmp_path / name).rows] for name in ("a.gpkg", "a.shp", "a.csv")
    ]
    assert scores[0] == scores[1] == scores[2]


def test_several_scenes_go_into_a_folder_with_pictures(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "other.tif", noise(100, 100, seed=1))
    outcome = run("detect", scene, "other.tif", "--model", untrained, "-o", "results", "--quicklook", "pictures")
    assert outcome.code == 0
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        f"{name}{suffix}" for name in ("scene", "other") for suffix in (".geojson", ".qml")
    }
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"scene.png", "other.png"}


def test_json_goes_to_standard_output_and_nothing_else_does(run: Run, scene: Path, untrained: Path) -> None:
    outcome = run("detect", scene, "--model", untrained, "--score", "0.02", "--json", "-v")
    (report,) = json.loads(outcome.out)
    assert report["outputs"] == ["scene.geojson"] and report["found"] == sum(report["per_class"].values()) > 0
    assert len(report["provenance"]["model_sha256"]) == 64
    assert "licence of the weights" in outcome.err


def test_classes_and_count_reach_the_result(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    run(
        "detect",
        scene,
        "--model",
        untrained,
        "--score",
        "0.02",
        "--classes",
        "ship, storage tank",
        "--max-per-tile",
        "2",
    )
    rows = read_layer(tmp_path / "scene.geojson").rows
    assert 0 < len(rows) <= 12 and {row["class"] for row in rows} <= {"ship", "storage tank"}


def test_a_bad_scene_does_not_stop_the_others(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_text("no raster")
    outcome = run("detect", "bad.tif", scene, "--model", untrained, "-o", "out", "--json")
    assert outcome.code == 3 and "1 of 2 scenes failed" in outcome.err and "bad.tif" in outcome.err
    assert (tmp_path / "out" / "scene.geojson").exists()
    assert "not a raster" in json.loads(outcome.out)[0]["error"]


def test_if_no_scene_succeeds_the_exit_code_is_1(run: Run, untrained: Path) -> None:
    outcome = run("detect", "none.tif", "nor.tif", "--model", untrained, "-o", "out")
    assert outcome.code == 1 and "none.tif" in outcome.err and "nor.tif" in outcome.err


def test_a_suffix_in_capitals_is_the_same_format(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    outcome = run("detect", scene, "--model", untrained, "-o", "a.SHP", "-o", "a.PARQUET", "-q")
    assert outcome.code == 0 and outcome.out.split() == ["a.shp", "a.parquet"]
    assert (tmp_path / "a.shp").exists()


def test_a_picture_of_degrees_has_a_scale_along_its_rows(
    run: Run, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rasterio import Affine

    from lcageo.inference import results

    write_scene(tmp_path / "north.tif", noise(200, 200), "EPSG:4326", Affine(1e-5, 0, 20, 0, -1e-5, 70))
    seen: list[Any] = []
    drawn = results.draw_quicklook
    monkeypatch.setattr(results, "draw_quicklook", lambda *given: (seen.append(given[-2:]), drawn(*given))[1])
    assert run("detect", "north.tif", "--model", untrained, "--quicklook", "q.png").code == 0
    ((metres, north),) = seen
    assert metres == pytest.approx(1e-5 * 111_319.49 * np.cos(np.radians(70)), rel=0.01)
    assert north == pytest.approx((0, -1))


def test_dry_run_says_what_a_run_would_take_and_writes_nothing(
    run: Run, scene: Path, untrained: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    outcome = run("detect", scene, "--model", untrained, "--dry-run", "-o", "new")
    assert outcome.code == 0 and re.search(
        r"scene.tif: 6 tiles, .*0% of the scene without data, about .* s, .*MB", outcome.out
    )
    (preview,) = json.loads(run("detect", scene, "--model", untrained, "--dry-run", "--json").out)
    assert preview["tiles"] == 6 and preview["seconds"] > 0 and preview["memory_mb"] > 50
    assert sorted(tmp_path.iterdir()) == before


def test_existing_output_is_refused_and_survives(run: Run, scene: Path, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.geojson").write_text("precious")
    outcome = run("detect", scene, "--model", untrained)
    assert outcome.code == 2 and "exists; use --overwrite" in outcome.err
    assert (tmp_path / "scene.geojson").read_text() == "precious"
    assert run("detect", scene, "--model", untrained, "--overwrite").code == 0
    assert (tmp_path / "scene.geojson").read_text() != "precious"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.tif"], 1, "scene 'missing.tif' does not exist"),
        (["text.tif"], 1, "not a raster"),
        (["truncated.tif"], 1, "damaged or incomplete"),
        (["scene.tif", "--classes", "boat"], 2, "no class 'boat'"),
        (["scene.tif", "--bands", "1,2,9"], 2, "has 3 band"),
        (["scene.tif", "--bands", "red"], 2, "--bands 'red'"),
        (["scene.tif", "--bbox", "0,0,1,1"], 2, "does not overlap scene"),
        (["scene.tif", "--bbox", "0,0,1"], 2, "four numbers"),
        (["scene.tif", "--aoi", "none.gpkg"], 2, "--aoi 'none.gpkg' does not exist"),
        (["local.tif"], 1, "requires longitude and latitude"),
        (["scene.tif", "--gsd", "0.0001"], 2, "would enlarge scene"),
        (["scene.tif", "--score", "7"], 2, "score 7"),
        (["scene.tif", "--gsd", "fine"], 2, "--gsd 'fine'"),
        (["scene.tif", "--stretch", "wide"], 2, "--stretch 'wide'"),
        (["scene.tif", "--overlap", "90%"], 2, "overlap '90%'"),
        (["scene.tif", "-o", "a.xyz"], 2, "no known suffix"),
        (["scene.tif", "-o", "none/a.gpkg"], 1, "does not exist; create it"),
        (["scene.tif", "--quicklook", "a.jpg"], 2, "neither a folder nor a .png"),
        (["scene.tif", "--quicklook", "none/a.png"], 1, "does not exist; create it"),
        (["scene.tif", "sub/scene.tif"], 2, "would both write"),
        (["scene.tif", "scene.tif"], 2, "scene 'scene.tif' is given twice"),
        (["scene.gpkg", "--overwrite", "-o", "scene.gpkg"], 2, "'scene.gpkg' is one of the scenes"),
        (["scene.tif", "--device", "cuda:63"], 1, "device 'cuda:63' is not available"),
        (["scene.tif", "--device", "toaster"], 2, "device 'toaster' is not known"),
        (["scene.tif", "--model", "nonsense"], 1, "there is no model 'nonsense'"),
        (["scene.tif", "--model", "altered"], 1, "SHA-256"),
        (["scene.tif", "--nonsense"], 2, "No such option"),
        ([], 2, "Missing argument"),
    ],
)
def test_bad_input_gets_one_clear_line_and_the_right_code(
    run: Run, scene: Path, untrained: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    (tmp_path / "truncated.tif").write_bytes(scene.read_bytes()[:200_000])
    local = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    write_scene(tmp_path / "local.tif", noise(50, 50), local)
    (tmp_path / "altered").mkdir()
    for path in untrained.iterdir():
        (tmp_path / "altered" / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "altered" / "model.safetensors").open("ab") as weights:
        weights.write(b"!")
    before = sorted(tmp_path.iterdir())
    named = [] if "--model" in arguments else ["--model", untrained]
    outcome = run("detect", *arguments, *named, "-q")
    assert outcome.code == code and words in outcome.err and outcome.out == ""
    if "No such option" not in words and "Missing argument" not in words:
        assert [line for line in outcome.err.splitlines() if line.startswith("error: ")] == [
            outcome.err.splitlines()[-1]
        ]
    assert sorted(tmp_path.iterdir()) == before


def test_without_a_shipped_model_detect_says_so(
    run: Run, scene: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from lcageo.runtime import catalog

    monkeypatch.setattr(catalog, "models_folder", lambda: tmp_path / "no models")
    outcome = run("detect", scene)
    assert outcome.code == 1 and "no trained model is shipped with this version; name one with --model" in outcome.err


def test_an_interrupted_run_ends_with_130_and_can_be_resumed(scene: Path, untrained: Path, tmp_path: Path) -> None:
    import signal

    large = write_scene(tmp_path / "large.tif", noise(3000, 3000))
    run = subprocess.Popen(
        [sys.executable, "-m", "lcageo", "detect", large, "--model", untrained, "-o", tmp_path / "out.gpkg"]
        + ["--progress", "json"],
        stderr=subprocess.PIPE,
    )
    assert run.stderr is not None
    for line in run.stderr:
        event = json.loads(line)
        if event.get("phase") == "tiles" and event["done"]:  # the first batch is through
            break
    run.send_signal(signal.SIGINT)
    _, rest = run.communicate(timeout=60)
    assert run.returncode == 130 and b'"error"' not in rest and b"Traceback" not in rest
    assert re.search(rb"stopped after \d+ of \d+ tiles; run the same command again to resume", rest)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == [".out.gpkg.lcageo-journal"]
