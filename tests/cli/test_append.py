"""--append from the command line: scenes one after the other into one layer, also when a run was killed in between."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas
import pytest
import rasterio
from support.bright import PowerCutError
from support.commands import Run
from support.scenes import noise, write_scene

from lcageo.vector.publish import Publication
from lcageo.vector.read import open_layer

ELSEWHERE = rasterio.Affine(0.5, 0.0, 500_500.0, 0.0, -0.5, 5_000_000.0)


@pytest.fixture
def scenes(tmp_path: Path) -> tuple[Path, Path]:
    first = write_scene(tmp_path / "first.tif", noise(200, 200))
    return first, write_scene(tmp_path / "second.tif", noise(200, 200, seed=1), transform=ELSEWHERE)


@pytest.fixture
def detect(run: Run, untrained: Path) -> Run:
    return lambda *arguments: run("detect", *arguments, "--model", untrained, "--score", 0.03)


def rows(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_file(path)


def test_scenes_end_up_in_one_layer(tmp_path: Path, scenes: tuple[Path, Path], detect: Run) -> None:
    for scene in scenes:
        assert detect(scene, "-o", tmp_path / "alone" / "x.gpkg").code != 0  # there is no such folder
        assert detect(scene, "-o", f"{scene.stem}.gpkg").code == 0
        outcome = detect(scene, "-o", "all.gpkg", "--append")
        assert outcome.code == 0 and outcome.out.strip() == "all.gpkg", outcome.err
    assert detect(*scenes, "-o", "at-once.gpkg", "--append").code == 0
    alone = [rows(tmp_path / f"{scene.stem}.gpkg") for scene in scenes]
    for name in ("all.gpkg", "at-once.gpkg"):
        both = rows(tmp_path / name)
        assert both["id"].tolist() == list(range(1, len(alone[0]) + len(alone[1]) + 1)) and len(both) > 60
        assert both.geometry.to_wkt().tolist() == [shape for one in alone for shape in one.geometry.to_wkt()]
        assert both["class"].tolist() == [name for one in alone for name in one["class"]]
        record = open_layer(tmp_path / name, "").record.as_json()
        assert record["scene"] == str(scenes[0]) and [one["scene"] for one in record["appended"]] == [str(scenes[1])]
    assert not list(tmp_path.glob(".*"))


def test_the_same_result_is_not_appended_twice(tmp_path: Path, scenes: tuple[Path, Path], detect: Run) -> None:
    assert detect(scenes[0], "-o", "all.gpkg").code == 0
    outcome = detect(scenes[0], "-o", "all.gpkg", "--append")
    assert outcome.code == 2 and "already has the objects that this run would find" in outcome.err
    outcome = detect(scenes[0], "-o", "all.gpkg", "--append", "--classes", "ship")
    assert outcome.code == 0 and "from a run with other settings" in outcome.err
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_died_while_publishing_is_completed_once(
    tmp_path: Path, scenes: tuple[Path, Path], detect: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = ("-o", "all.gpkg", "-o", "more.gpkg", "--append")
    assert detect(scenes[0], *outputs).code == 0
    before, publish = len(rows(tmp_path / "all.gpkg")), Publication.publish

    def half(self: Publication) -> None:
        del self._drafts[1:]
        publish(self)
        raise PowerCutError  # between one file and the next

    with monkeypatch.context() as broken, pytest.raises(PowerCutError):
        broken.setattr(Publication, "publish", half)
        detect(scenes[1], *outputs)
    assert len(rows(tmp_path / "more.gpkg")) == before < len(rows(tmp_path / "all.gpkg"))
    assert len(list(tmp_path.glob(".all-*.gpkg.lcageo-journal"))) == 1
    outcome = detect(scenes[1], *outputs)
    assert outcome.code == 0, outcome.err
    for name in ("all.gpkg", "more.gpkg"):
        both = rows(tmp_path / name)
        assert both["id"].tolist() == list(range(1, len(both) + 1)) and both["scene"].nunique() == 2
        assert len(open_layer(tmp_path / name, "").record.as_json()["appended"]) == 1
    assert len(rows(tmp_path / "all.gpkg")) == len(rows(tmp_path / "more.gpkg"))


def test_filtered_objects_are_appended(tmp_path: Path, scenes: tuple[Path, Path], detect: Run, run: Run) -> None:
    for scene in scenes:
        assert detect(scene, "-o", f"{scene.stem}.fgb").code == 0
        outcome = run("filter", f"{scene.stem}.fgb", "best.gpkg", "--top", 5, "--append")
        assert outcome.code == 0, outcome.err
    both = rows(tmp_path / "best.gpkg")
    assert both["scene"].tolist() == ["first"] * 5 + ["second"] * 5
    assert sorted(both["id"].tolist()[5:]) == [max(both["id"][:5]) + number for number in range(1, 6)]
    outcome = run("filter", "best.gpkg", "again.csv")
    assert outcome.code == 0 and "10" in outcome.err
    assert "is not a layer of a single scene" in run("filter", "best.gpkg", "again.coco.json").err
    with closing(sqlite3.connect(tmp_path / "best.gpkg")) as base:
        (xml,) = base.execute("SELECT metadata FROM gpkg_metadata").fetchone()
    text = xml.replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    record = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert record["filtered"][0]["top"] == record["appended"][0]["filtered"][0]["top"] == 5


def style(path: Path) -> str:
    with closing(sqlite3.connect(path)) as base:
        ((text,),) = base.execute("SELECT styleQML FROM layer_styles")
    return str(text)


def test_the_style_knows_classes_that_came_later_and_a_saved_one_stays(
    tmp_path: Path, scenes: tuple[Path, Path], detect: Run
) -> None:
    assert detect(scenes[0], "-o", "all.gpkg").code == 0
    classes = sorted(set(rows(tmp_path / "all.gpkg")["class"]))
    assert detect(scenes[0], "-o", "all.gpkg", "--classes", classes[0], "--overwrite").code == 0
    assert f'value="{classes[0]}"' in style(tmp_path / "all.gpkg") and f'value="{classes[1]}"' not in style(
        tmp_path / "all.gpkg"
    )
    assert detect(scenes[1], "-o", "all.gpkg", "--append").code == 0
    assert all(f'value="{name}"' in style(tmp_path / "all.gpkg") for name in classes)
    with closing(sqlite3.connect(tmp_path / "all.gpkg")) as base, base:
        base.execute("UPDATE layer_styles SET styleQML = '<qgis/>'")
    assert detect(scenes[0], "-o", "all.gpkg", "--append", "--score", 0.04).code == 0
    assert style(tmp_path / "all.gpkg") == "<qgis/>"


def test_a_drawn_object_whose_class_has_another_number_is_refused(
    tmp_path: Path, scenes: tuple[Path, Path], detect: Run, run: Run
) -> None:
    for scene in scenes:
        assert detect(scene, "-o", f"{scene.stem}.gpkg").code == 0
    second = rows(tmp_path / "second.gpkg")
    for name in ("id", "class_id"):
        second[name] = second[name].astype("Int64").mask(second.index < 3)
    second["score"] = second["score"].mask(second.index < 3)
    second.to_file(tmp_path / "corrected.gpkg", layer="corrected")
    outcome = run("filter", "corrected.gpkg", "first.gpkg", "--append")
    assert outcome.code == 0, outcome.err
    both = rows(tmp_path / "first.gpkg")
    assert both["score"].isna().sum() == 3 and both["id"].is_unique
    text = rows(tmp_path / "second.gpkg").assign(id="w1")
    text.to_file(tmp_path / "text.gpkg", layer="text")
    outcome = run("filter", "corrected.gpkg", "text.gpkg", "--append")
    assert outcome.code == 2 and "its column 'id' is not a number" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "a.geojson"), "--append adds to .gpkg files and PostGIS tables, not to 'a.geojson'"),
        ((), "not to 'first.geojson'"),
        (("-o", "a.gpkg", "--overwrite"), "--append and --overwrite cannot be combined"),
    ],
)
def test_what_cannot_be_appended_to_is_said(
    arguments: tuple[str, ...], message: str, scenes: tuple[Path, Path], detect: Run
) -> None:
    outcome = detect(scenes[0], *arguments, "--append")
    assert outcome.code == 2 and message in outcome.err


def test_filter_refuses_the_same(tmp_path: Path, scenes: tuple[Path, Path], detect: Run, run: Run) -> None:
    assert detect(scenes[0], "-o", "a.gpkg").code == 0
    assert "not to 'b.fgb'" in run("filter", "a.gpkg", "b.fgb", "--append").err
    assert (
        "--append and --to cannot be combined" in run("filter", "a.gpkg", "b.gpkg", "--append", "--to", "EPSG:4326").err
    )
    assert "is the input; choose another" in run("filter", "a.gpkg", "a.gpkg", "--append").err


def test_another_models_classes_do_not_fit(tmp_path: Path, scenes: tuple[Path, Path], detect: Run) -> None:
    assert detect(scenes[0], "-o", "all.gpkg").code == 0
    layer = rows(tmp_path / "all.gpkg")
    layer["class_id"] = 9 - layer["class_id"]
    layer.to_file(tmp_path / "other.gpkg")
    outcome = detect(scenes[1], "-o", "other.gpkg", "--append")
    assert outcome.code == 2 and "cannot append to 'other.gpkg': class_id of" in outcome.err
    assert not list(tmp_path.glob(".*"))
