from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA
from support.makers import BILLION_LAUGHS, voc_object, voc_xml, write_dior

from lcageo.data.annotations import ProblemKind, SplitName
from lcageo.data.formats.dior import DIOR_CLASSES, is_dior, read_dior
from lcageo.data.formats.layout import Reading
from lcageo.errors import DataError


@pytest.mark.parametrize("flat", [False, True])
def test_boxes_and_classes_are_read_from_either_layout(tmp_path: Path, flat: bool) -> None:
    root = write_dior(
        tmp_path / "DIOR", {"00001": voc_xml(voc_object("expressway-service-area", (1, 1, 40, 30)))}, flat
    )
    assert is_dior(root)
    train = read_dior(root, SplitName.TRAIN, Reading(strict=True))
    (image,) = train.annotations
    assert train.classes == DIOR_CLASSES and len(DIOR_CLASSES) == 20
    assert image.boxes_xyxy.tolist() == [[0, 0, 40, 30]]
    assert DIOR_CLASSES[image.labels[0]] == "Expressway-Service-area"
    assert image.labelled_classes == tuple(range(20)) and image.image.name == "00001.jpg"


def test_trainval_is_its_own_list_or_train_and_val_together(tmp_path: Path) -> None:
    root = write_dior(tmp_path, {"00001": voc_xml(), "00002": voc_xml()})
    sizes = {split: len(read_dior(root, split)) for split in SplitName}
    assert sizes == {"train": 2, "val": 1, "trainval": 3, "test": 1}
    (root / "ImageSets" / "Main" / "trainval.txt").write_text("00002\n")
    assert len(read_dior(root, SplitName.TRAINVAL)) == 1


@pytest.mark.parametrize(
    ("objects", "kind", "words"),
    [
        (
            [voc_object(), voc_object("zeppelin")],
            ProblemKind.UNKNOWN_CLASS,
            r"00001\.xml: line 4, object 2: 'zeppelin'",
        ),
        ([voc_object(box=(9, 9, 4, 12))], ProblemKind.EMPTY_BOX, "line 3, object 1: box 8, 8, 4, 12 is empty"),
        ([voc_object(box=(50, 1, 60, 9))], ProblemKind.BOX_OUTSIDE, "line 3, object 1: .* is outside the 40 x 30"),
        ([voc_object(box=(0, 1, 41, 9))], ProblemKind.BOX_OUTSIDE, "extends beyond the 40 x 30 image; clipped"),
        ([voc_object(box=(1, 1, "NaN", 9))], ProblemKind.BROKEN_RECORD, "line 3, object 1: <xmax> is 'NaN'"),
    ],
)
def test_a_broken_object_is_named_with_file_and_line(
    tmp_path: Path, objects: list[str], kind: ProblemKind, words: str
) -> None:
    root = write_dior(tmp_path, {"00001": voc_xml(*objects), "00002": voc_xml()})
    train = read_dior(root, SplitName.TRAIN)
    (problem,) = [problem for problem in train.problems if problem.kind is not ProblemKind.OBJECTS_LOST]
    assert len(train) == 2 - (len(train.problems) - 1)  # an image that lost all its objects is no background
    assert problem.kind == kind
    with pytest.raises(DataError, match=words):
        read_dior(root, SplitName.TRAIN, Reading(strict=True))


@pytest.mark.parametrize("xml", [BILLION_LAUGHS, voc_xml(voc_object())[:70], voc_xml(width="?"), "<annotation/>"])
def test_an_image_with_a_broken_record_is_skipped(tmp_path: Path, xml: str) -> None:
    train = read_dior(write_dior(tmp_path, {"00001": xml, "00002": voc_xml()}), SplitName.TRAIN)
    assert [image.image.stem for image in train.annotations] == ["00002"]
    assert [(p.kind, p.path.name) for p in train.problems] == [(ProblemKind.BROKEN_RECORD, "00001.xml")]
    assert train.problems[0].what.endswith("; image skipped")


def test_missing_files_and_repeated_or_odd_names_are_problems(tmp_path: Path) -> None:
    root = write_dior(tmp_path, {"00001": voc_xml(), "00002": voc_xml()})
    (root / "JPEGImages-trainval" / "00001.jpg").unlink()
    (root / "Annotations" / "Horizontal Bounding Boxes" / "00002.xml").unlink()
    (root / "ImageSets" / "Main" / "train.txt").write_text("00001\n\n00002\n00001\n../00002\n")
    train = read_dior(root, SplitName.TRAIN)
    assert len(train) == 0
    assert [(p.kind.name, p.where) for p in train.problems] == [
        ("DUPLICATE_IMAGE", "line 4"), ("BROKEN_RECORD", "line 5"), ("MISSING_IMAGE", ""), ("BROKEN_RECORD", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("gone", ["JPEGImages-trainval", "Annotations", "ImageSets"])
def test_a_folder_that_is_not_laid_out_as_dior_is_refused_with_what_it_lacks(tmp_path: Path, gone: str) -> None:
    root = write_dior(tmp_path, {"00001": voc_xml()})
    shutil.rmtree(root / gone)
    with pytest.raises(DataError, match=f"is not laid out as DIOR: .*{gone}"):
        read_dior(root, SplitName.TRAIN)


@pytest.fixture(scope="module")
def real_dior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = DATA / "make_dior_layout.py"
    if not script.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no {script}; name its folder with LCAGEO_DATA")
    root = tmp_path_factory.mktemp("dior")
    subprocess.run([sys.executable, script, root], check=True, capture_output=True)
    return root


@pytest.mark.parametrize(
    ("splits", "source"), [(("train", "val"), "train"), (("trainval",), "train"), (("test",), "val")]
)
def test_real_images_in_diors_layout_have_the_boxes_of_their_json(
    real_dior: Path, splits: tuple[str, ...], source: str
) -> None:
    coco = json.loads((DATA / "vhr10" / f"{source}.json").read_text())
    short = {"baseball diamond": "baseballfield"}
    name = {c["id"]: short.get(c["name"], c["name"].replace(" ", "")) for c in coco["categories"]}
    stem = {i["id"]: f"{int(Path(i['file_name']).stem):05d}" for i in coco["images"]}
    expected: dict[str, list[tuple[object, ...]]] = {value: [] for value in stem.values()}
    for a in coco["annotations"]:
        x, y, w, h = a["bbox"]
        expected[stem[a["image_id"]]].append((name[a["category_id"]], x, y, x + w, y + h))
    found = {}
    for split in splits:
        for image in read_dior(real_dior, SplitName(split), Reading(strict=True)).annotations:
            rows = zip(image.labels, image.boxes_xyxy.tolist(), strict=True)
            found[image.image.stem] = [(DIOR_CLASSES[label], *box) for label, box in rows]
    assert found == expected
    assert sum(map(len, found.values())) == {"train": 2810, "val": 557}[source]


def test_difficult_objects_are_marked(tmp_path: Path) -> None:
    xml = voc_xml(voc_object(), voc_object(more="<difficult>1</difficult>"))
    (image,) = read_dior(write_dior(tmp_path, {"00001": xml}), SplitName.TRAIN).annotations
    assert np.array_equal(image.difficult, [False, True])


def test_folders_of_voc_without_images_are_not_diors(tmp_path: Path) -> None:
    """CVAT's archive has no folder JPEGImages where the images were left out."""
    for name in ("Annotations", "ImageSets/Main", "images"):
        (tmp_path / name).mkdir(parents=True)
    assert not is_dior(tmp_path)
    (tmp_path / "JPEGImages-trainval").mkdir()
    assert is_dior(tmp_path)
