"""`lcageo evaluate` as a user meets it. The truth is made of what the untrained model finds: figures are not 0."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import Run
from support.makers import annotation, labelled_set, write_dior, write_image
from support.reference import Case, means, pycocotools_run

from lcageo.cli import evaluate as command
from lcageo.config import BENCHMARK
from lcageo.data.annotations import LabelledSet, SplitName
from lcageo.data.sets import read_sets
from lcageo.evaluation.images import as_truth, evaluate_set, find_objects
from lcageo.evaluation.scenes import Tiling
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import Predictor, load_predictor

SIZES = [(256, 256), (256, 200), (120, 100), (300, 280)]


@pytest.fixture(scope="module")
def predictor(untrained: Path) -> Predictor:
    return load_predictor(find_card(str(untrained)), BENCHMARK, "cpu")


@pytest.fixture(scope="module")
def data(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file whose objects are some of what the model finds, moved a little; a few of them are crowds."""
    folder = tmp_path_factory.mktemp("data")
    images = [write_blots(folder / "images" / f"{seed}.png", *size, seed) for seed, size in enumerate(SIZES)]
    classes = predictor.card.classes
    blank = (annotation(path, size, labelled=range(len(classes))) for path, size in zip(images, SIZES, strict=True))
    found = find_objects(predictor, labelled_set(*blank, classes=classes))
    assert sum(map(len, found)) > 60
    rng = np.random.default_rng(0)
    objects: list[dict[str, Any]] = []
    for image, (one, size) in enumerate(zip(found, SIZES, strict=True)):
        for box, label in list(zip(one.boxes_xyxy, one.labels.tolist(), strict=True))[::2]:
            low, high = np.sort(np.clip((box + rng.normal(0, 2, 4)).reshape(2, 2), 0, size), axis=0)
            objects.append({"image_id": image, "category_id": label, "bbox": [*low, *(high - low)], "iscrowd": 0})
    for number, record in enumerate(objects):
        record |= {"id": number, "iscrowd": int(number % 9 == 8)}
    return write_coco(folder / "data.json", classes, SIZES, objects)


def write_blots(path: Path, width: int, height: int, seed: int) -> Path:
    """An image of large coloured cells: in mere noise the model finds nothing."""
    path.parent.mkdir(exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 256, (height // 20 + 1, width // 20 + 1, 3), np.uint8)
    Image.fromarray(cells.repeat(20, axis=0).repeat(20, axis=1)[:height, :width]).save(path)
    return path


def write_coco(
    path: Path, classes: Sequence[str], sizes: Sequence[tuple[int, int]], objects: Sequence[dict[str, Any]]
) -> Path:
    images = [
        {"id": index, "file_name": f"{index}.png", "width": width, "height": height}
        for index, (width, height) in enumerate(sizes)
    ]
    categories = [{"id": label, "name": name} for label, name in enumerate(classes)]
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": list(objects)}))
    return path


def read(data: Path, predictor: Predictor) -> LabelledSet:
    return read_sets([data], SplitName.VAL, predictor.card.classes)


def test_the_json_figures_are_those_of_pycocotools_on_the_same_detections(
    run: Run, data: Path, untrained: Path, predictor: Predictor
) -> None:
    outcome = run("evaluate", "--model", untrained, "--data", data, "--json")
    assert outcome.code == 0 and "untrained: its boxes are meaningless" in outcome.err
    described = json.loads(outcome.out)
    labelled = read(data, predictor)
    found = find_objects(predictor, labelled)
    case = Case(labelled.classes, [as_truth(annotation) for annotation in labelled.annotations], found)
    theirs = means(pycocotools_run(case))
    for name in ("mAP50", "mAP75", "mAP50_95", "AR"):
        assert described[name] == pytest.approx(theirs[name], abs=1e-9)
    assert 0.05 < described["mAP50_95"] < described["mAP50"] < 1
    for size, figures in described["sizes"].items():
        value = math.nan if figures["mAP50_95"] is None else figures["mAP50_95"]
        assert value == pytest.approx(theirs[f"mAP50_95 {size}"], abs=1e-9, nan_ok=True)
    assert described["images"] == 4 and described["data"] == str(data) and "bootstrap" not in described


def test_the_table_shows_classes_means_sizes_and_confusions(
    run: Run, data: Path, untrained: Path, predictor: Predictor
) -> None:
    outcome = run("evaluate", "--model", untrained, "--data", data, "-q")
    evaluation = evaluate_set(predictor, read(data, predictor))
    assert outcome.code == 0
    assert re.search(
        rf"mean +\d+ +{evaluation.map50:.3f} +{evaluation.map75:.3f} +{evaluation.map50_95:.3f}", outcome.out
    )
    for one in evaluation.per_class:
        best = f"{one.best.score:.3f} +{one.best.precision:.3f} +{one.best.recall:.3f}" if one.objects else "- +- +-"
        assert re.search(rf"^{one.name} +{one.objects} .*{best}", outcome.out, re.MULTILINE)
    assert "mAP50:95 by size: small" in outcome.out and "is / found as" in outcome.out
    assert "VOC07" not in outcome.out
    assert outcome.err.count("\n") == 1  # only the warning that the model is untrained


def test_11_point_figures_are_printed_when_asked_for(
    run: Run, data: Path, untrained: Path, predictor: Predictor
) -> None:
    evaluation = evaluate_set(predictor, read(data, predictor))
    outcome = run("evaluate", "--model", untrained, "--data", data, "--voc", "-q")
    assert re.search(rf"mean .* {evaluation.map50_95:.3f} +{evaluation.voc07_map50:.3f} ", outcome.out)


def test_intervals_are_resampled_by_the_seed(run: Run, data: Path, untrained: Path, predictor: Predictor) -> None:
    evaluation = evaluate_set(predictor, read(data, predictor))
    asked = ("evaluate", "--model", untrained, "--data", data, "--bootstrap", "50", "--seed", "7", "-q")
    assert json.loads(run(*asked, "--json").out)["bootstrap"] == evaluation.resampled(50, 7).as_json()
    low, high = evaluation.resampled(50, 7).as_json()["mAP50"]
    assert f"mAP50 {evaluation.map50:.3f}, {low:.3f} to {high:.3f} in 95 % of 50 resamples" in run(*asked).out


def test_pictures_are_drawn_and_not_replaced_unasked(run: Run, data: Path, untrained: Path, tmp_path: Path) -> None:
    asked = ("evaluate", "--model", untrained, "--data", data, "--plots", "new/pictures", "-q")
    outcome = run(*asked)
    assert outcome.out.endswith("\nnew/pictures/curves.png\nnew/pictures/confusion.png\n")
    assert {path.name for path in (tmp_path / "new/pictures").iterdir()} == {"curves.png", "confusion.png"}
    again = run(*asked)
    assert again.code == 2 and "'new/pictures/curves.png' exists; use --overwrite" in again.err and again.out == ""
    assert run(*asked, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("options", "tiling"),
    [
        ([], Tiling()),
        (["--tile", "64", "--overlap", "32"], Tiling(64)),
        (["--enlarge", "1.5", "--overlap", "32"], Tiling(enlargement=1.5)),
    ],
)
def test_images_are_cut_as_scenes_when_asked(
    run: Run, data: Path, untrained: Path, predictor: Predictor, options: list[str], tiling: Tiling
) -> None:
    described = json.loads(run("evaluate", "--model", untrained, "--data", data, "--as-scene", *options, "--json").out)
    config = command.DetectConfig(score=0.05, iou=0.6, max_per_tile=1000, overlap="32" if options else None)
    loose = load_predictor(predictor.card, config, "cpu")
    config = command.DetectConfig(score=0.05, iou=0.6, max_per_tile=100, overlap=config.overlap)
    expected = evaluate_set(loose, read(data, predictor), config=config, tiling=tiling).as_json()
    assert described["mAP50_95"] == expected["mAP50_95"] and described["per_class"] == expected["per_class"]
    assert described["detections"] != evaluate_set(predictor, read(data, predictor)).as_json()["detections"]


def test_several_sets_are_measured_one_by_one_and_together(run: Run, data: Path, untrained: Path) -> None:
    content = json.loads(data.read_text())
    content["images"] = content["images"][:2]
    content["annotations"] = [record for record in content["annotations"] if record["image_id"] < 2]
    few = data.with_name("few.json")
    few.write_text(json.dumps(content))
    asked = ("evaluate", "--model", untrained, "-q")
    one, other = (json.loads(run(*asked, "--data", path, "--json").out) for path in (data, few))
    both = json.loads(run(*asked, "--data", data, "--data", few, "--json").out)
    for path, alone in ((data, one), (few, other)):
        assert both["sets"][str(path)] == {name: alone[name] for name in both["sets"][str(path)]}
    assert both["images"] == one["images"] + 2 and both["objects"] == one["objects"] + other["objects"]
    text = run(*asked, "--data", data, "--data", few).out
    assert re.search(rf"^few.json +2 +{other['objects']} +{other['mAP50']:.3f} ", text, re.MULTILINE)
    assert "set" not in run(*asked, "--data", data).out.splitlines()[0]


def test_score_count_and_overlap_reach_the_figures(run: Run, data: Path, untrained: Path) -> None:
    def detections(*options: str) -> int:
        return int(
            json.loads(run("evaluate", "--model", untrained, "--data", data, "--json", *options).out)["detections"]
        )

    usual = detections()
    assert detections("--max-per-image", "5") == 20
    assert detections("--score", "0.5") < usual > detections("--iou", "0.1")


def test_a_few_broken_records_are_shown_and_the_rest_counted(run: Run, data: Path, untrained: Path) -> None:
    content = json.loads(data.read_text())
    content["annotations"] += [
        {"id": 1000 + number, "image_id": 0, "category_id": 0, "bbox": "?"} for number in range(8)
    ]
    broken = data.with_name("broken.json")
    broken.write_text(json.dumps(content))
    outcome = run("evaluate", "--model", untrained, "--data", broken, "-q")
    shown = [line for line in outcome.err.splitlines() if "broken.json" in line]
    assert outcome.code == 0 and len(shown) == 5 and "(id 1000)" in shown[0]
    assert "and 4 more problems; 'lcageo data check' shows all" in outcome.err
    # Their image is left out, since nobody knows what else it shows.
    for table, key in (("images", "id"), ("annotations", "image_id")):
        content[table] = [record for record in content[table] if record[key] != 0]
    rest = data.with_name("rest.json")
    rest.write_text(json.dumps(content))
    assert outcome.out == run("evaluate", "--model", untrained, "--data", rest, "-q").out
    strict = run("evaluate", "--model", untrained, "--data", broken, "--strict", "-q")
    assert strict.code == 1 and "(id 1000)" in strict.err and strict.out == ""


def test_an_image_that_cannot_be_read_is_left_out(run: Run, untrained: Path, tmp_path: Path) -> None:
    for seed in range(2):
        write_image(tmp_path / f"{seed}.png", seed=seed)
    write_coco(tmp_path / "data.json", ["ship"], [(40, 30)] * 2, [])
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:100])
    outcome = run("evaluate", "--model", untrained, "--data", "data.json", "--json", "-q")
    assert json.loads(outcome.out)["images"] == 1 and re.search("warning: .*1.png.*; image left out", outcome.err)
    (tmp_path / "0.png").write_bytes((tmp_path / "0.png").read_bytes()[:100])
    outcome = run("evaluate", "--model", untrained, "--data", "data.json", "-q")
    assert outcome.code == 1 and outcome.out == "" and "error: none of the images can be read" in outcome.err


def test_classes_that_one_side_lacks_are_noted_without_a_warning(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "0.png")
    objects = [{"id": number, "image_id": 0, "category_id": number, "bbox": [1, 1, 9, 9]} for number in range(2)]
    write_coco(tmp_path / "data.json", ["ship", "windmill"], [(40, 30)], objects)
    outcome = run("evaluate", "--model", untrained, "--data", "data.json")
    assert "not among the model's classes, and left out: 'windmill'\n" in outcome.err
    assert outcome.err.count("warning: ") == 1  # only that the model is untrained
    assert re.search(r"^airplane +0 +-", outcome.out, re.MULTILINE) and "windmill" not in outcome.out
    (tmp_path / "map.toml").write_text('[classes]\nharbor = ["windmill"]\n')
    mapped = run("evaluate", "--model", untrained, "--data", "data.json", "--class-map", "map.toml")
    assert re.search(r"^harbor +1 ", mapped.out, re.MULTILINE) and "windmill" not in mapped.err


def test_a_name_that_only_the_class_map_knows_is_a_warning(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "0.png")
    write_coco(tmp_path / "data.json", ["ship"], [(40, 30)], [])
    (tmp_path / "map.toml").write_text('[classes]\nship = ["shipp"]\n')
    outcome = run("evaluate", "--model", untrained, "--data", "data.json", "--class-map", "map.toml", "-q")
    assert re.search("warning: map.toml: class 'shipp': not in data.json", outcome.err)


@pytest.mark.parametrize(("options", "name"), [([], "val"), (["--split", "test"], "test")])
def test_the_requested_split_of_a_dior_folder_is_used(
    run: Run, untrained: Path, tmp_path: Path, options: list[str], name: str
) -> None:
    write_dior(tmp_path / "DIOR", {})
    described = json.loads(run("evaluate", "--model", untrained, "--data", "DIOR", "--json", *options).out)
    assert described["data"] == f"DIOR, {name}" and described["images"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give --model and --data, or --layer and --truth"),
        (["--layer", "a.gpkg"], 2, "--layer and --truth require each other"),
        (["--truth", "a.gpkg"], 2, "--layer and --truth require each other"),
        (["--layer", "a.gpkg", "--truth", "b.gpkg", "--data", "data.json"], 2, "use one pair"),
        (["--layer", "a.gpkg", "--truth", "b.gpkg", "--model", "m"], 2, "use one pair"),
        (
            ["--layer", "a.gpkg", "--truth", "b.gpkg", "--plots", "p"],
            2,
            "--plots has no effect on layers; leave it out",
        ),
        (["--layer", "a.gpkg", "--truth", "b.gpkg", "--as-scene"], 2, "--as-scene has no effect on layers"),
        (["--data", "data.json", "--class-field", "kind"], 2, "--class-field requires --layer"),
        (["--data", "data.json", "--tile", "128"], 2, "--tile requires --as-scene"),
        (["--data", "data.json", "--enlarge", "2"], 2, "--enlarge requires --as-scene"),
        (["--data", "data.json", "--as-scene", "--enlarge", "9"], 2, "enlargement 9 is outside 0.25 to 4"),
        (["--data", "data.json", "-o", "a.gpkg"], 2, "--output requires --layer"),
        (["--data", "data.json", "--as-scene", "--tile", "100"], 2, "tile 100 is not a multiple of 32"),
        (["--data", "data.json", "--as-scene", "--overlap", "90%"], 2, "overlap '90%' is outside"),
        (["--data", "data.json", "--score", "2"], 2, "score 2.0 is outside"),
        (["--data", "none.json"], 1, "'none.json' cannot be read"),
        (["--data", "folder"], 1, "data 'folder' is not a labelled set"),
        (["--data", "empty.json"], 1, "has no usable image to evaluate"),
        (["--data", "data.json", "--class-map", "none.toml"], 2, "class map 'none.toml' cannot be read"),
        (["--data", "data.json", "--split", "all"], 2, "'all' is not one of"),
        (["--data", "data.json", "--device", "toaster"], 2, "device 'toaster' is not known"),
    ],
)
def test_bad_input_gets_one_clear_line_and_the_right_code(
    run: Run, untrained: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "folder").mkdir()
    write_image(tmp_path / "0.png")
    write_coco(tmp_path / "data.json", ["ship"], [(40, 30)], [])
    write_coco(tmp_path / "empty.json", ["ship"], [], [])
    model = [] if {"--layer", "--truth"} & set(arguments) else ["--model", untrained]
    outcome = run("evaluate", *arguments, *model, "-q")
    assert outcome.code == code and words in outcome.err and outcome.out == ""


def test_the_splits_are_those_of_dior() -> None:
    assert [str(split) for split in command.Split] == [str(split) for split in SplitName]
