"""`lcageo evaluate --layer --truth` on the drawn scene, whose truth is known."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import geopandas
import make_scene
import pytest
from support.commands import Run
from support.readers import debian_gdal, read_layer


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """The truth of a drawn scene, in longitude and latitude; the scene lies beside it."""
    make_scene.main([str(tmp_path / "scene.tif"), "--size", "600", "--truth", str(tmp_path / "truth.geojson")])
    return tmp_path / "truth.geojson"


def test_the_truth_compared_with_itself_is_all_correct_in_any_crs(run: Run, truth: Path) -> None:
    frame = geopandas.read_file(truth)
    frame.to_crs("EPSG:3857").assign(score=0.5).to_file("found.gpkg")
    outcome = run("evaluate", "--layer", "found.gpkg", "--truth", truth, "-o", "all.SHP", "--iou", "0.9")
    assert outcome.code == 0 and "warning" not in outcome.err
    assert "best threshold of airplane: 0.5, with F1 1.000" in outcome.err
    *table, path = outcome.out.splitlines()
    assert path == "all.shp" and table[0].split()[-2:] == ["F1", "AP90"]
    count = f"{len(frame):,}"
    assert table[-1].split() == ["all", count, count, count, "0", "0", *["1.000"] * 4]
    assert {row["result"] for row in read_layer(Path("all.shp")).rows} == {"true positive"}


def test_the_differences_between_model_and_truth_are_written_as_one_layer(
    run: Run, truth: Path, untrained: Path
) -> None:
    assert run("detect", "scene.tif", "--model", untrained, "--score", "0.02", "-o", "found.gpkg", "-q").code == 0
    outcome = run("evaluate", "--layer", "found.gpkg", "--truth", truth, "-o", "all.gpkg", "--iou", "0.1", "--json")
    overall = json.loads(outcome.out)["overall"]
    converted = debian_gdal("ogr2ogr", "-f", "GeoJSON", "-t_srs", "EPSG:4326", target=Path("all.gpkg"))
    features = json.loads(converted.read_text())["features"]
    assert Counter(feature["properties"]["result"] for feature in features) == Counter(
        {
            "true positive": overall["true_positives"],
            "false positive": overall["false_positives"],
            "miss": overall["misses"],
        }
    )
    assert overall["found"] == len(read_layer(Path("found.gpkg")).rows) > 0
    assert overall["truth"] == len(geopandas.read_file(truth)) > 0


def test_a_class_map_merges_names_and_oddities_are_reported(run: Run, truth: Path) -> None:
    frame = geopandas.read_file(truth)
    frame.assign(label="thing").drop(columns="class").to_file("found.gpkg")
    apart = run("evaluate", "--layer", "found.gpkg", "--truth", truth)
    assert apart.code == 0 and "warning: classes of 'found.gpkg' are read from its column 'label'" in apart.err
    assert "use a --class-map" in apart.err
    names = ", ".join(f'"{name}"' for name in sorted(set(frame["class"])))
    Path("map.toml").write_text(f"[classes]\nthing = [{names}]\n")
    together = run("evaluate", "--layer", "found.gpkg", "--truth", truth, "--class-map", "map.toml", "--json")
    (figures,) = json.loads(together.out)["classes"]
    assert (figures["class"], figures["recall"], figures["average_precision"]) == ("thing", 1.0, None)


def test_objects_that_score_too_little_do_not_count(run: Run, truth: Path) -> None:
    frame = geopandas.read_file(truth)
    scores = [0.9 if number % 3 else 0.2 for number in range(len(frame))]
    frame.assign(score=scores).to_file("found.gpkg")
    for asked, expected in (((), len(frame)), (("--score", "0.5"), scores.count(0.9)), (("--score", "1"), 0)):
        outcome = run("evaluate", "--layer", "found.gpkg", "--truth", truth, "--json", *asked)
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["overall"]["found"] == expected
    outcome = run("evaluate", "--layer", truth, "--truth", truth, "--score", "0.5")
    assert outcome.code == 1 and "has no column 'score', which --score requires" in outcome.err


def test_what_cannot_be_compared_is_refused_in_one_line(run: Run, truth: Path) -> None:
    Path("there.gpkg").write_text("precious")
    cases: dict[tuple[object, ...], tuple[int, str]] = {
        ("--layer", truth): (2, "--layer and --truth require each other"),
        ("--layer", "none.gpkg", "--truth", truth): (1, "--layer 'none.gpkg' does not exist"),
        ("--layer", truth, "--truth", "scene.tif"): (1, "is not a vector layer"),
        ("--layer", truth, "--truth", truth, "-o", "differences.coco.json"): (2, "but a map layer is required"),
        ("--layer", truth, "--truth", truth, "-o", "there.gpkg"): (2, "exists; use --overwrite"),
        ("--layer", truth, "--truth", truth, "--iou", "2"): (2, "iou 2.0 is out of range; give a value above 0"),
    }
    for arguments, (code, words) in cases.items():
        outcome = run("evaluate", *arguments)
        assert outcome.code == code and words in outcome.err and outcome.err.count("\n") == 1, arguments
    assert Path("there.gpkg").read_text() == "precious"
