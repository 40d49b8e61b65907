from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import DATA
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from support.makers import annotation, labelled_set, write_image

from lcageo.config import FormatName
from lcageo.data.annotations import Annotation, LabelledSet, SplitName
from lcageo.data.convert import TARGETS, convert_sets
from lcageo.data.sets import read_source, splits_in

TRAIN, VAL = SplitName.TRAIN, SplitName.VAL


def boxes_of(labelled: LabelledSet) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Every box of a set, bit by bit, by the name of its image."""
    return {
        one.image.name: [
            (labelled.classes[label], tuple(box))
            for label, box in zip(one.labels.tolist(), one.boxes_xyxy.tolist(), strict=True)
        ]
        for one in labelled.annotations
    }


@pytest.mark.parametrize("first", TARGETS)
def test_a_real_set_goes_through_every_format_without_a_change(tmp_path: Path, first: FormatName) -> None:
    path = DATA / "vhr10" / "val.json"
    if not path.exists():
        pytest.skip(f"SKIPPED FOR LACK OF DATA: no {path}; name its folder with LCAGEO_DATA")
    original = read_source(path, VAL, strict=True)
    source = path
    for number, to in enumerate((first, FormatName.VOC, FormatName.YOLO, FormatName.COCO)):
        folder = tmp_path / f"{number}-{to}"
        folder.mkdir()
        convert_sets({"val": read_source(source, VAL, strict=True)}, folder, to)
        read = read_source(folder, VAL, strict=True)
        assert boxes_of(read) == boxes_of(original)
        assert set(read.classes) == set(original.classes) and not read.problems
        source = folder
    assert (folder / "images" / "001.jpg").read_bytes() == (DATA / "vhr10" / "images" / "001.jpg").read_bytes()


def test_pycocotools_finds_the_same_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = [(1.1, 2.2, 9.7, 9.3), (0, 0, 40, 30)]
    one = annotation(write_image(tmp_path / "a.png"), boxes=boxes, labels=[1, 0], labelled=(0, 1))
    (tmp_path / "out").mkdir()
    convert_sets({"val": labelled_set(one, classes=["car", "ship"])}, tmp_path / "out", FormatName.COCO)
    reference = COCO(str(tmp_path / "out" / "val.json"))
    names = {number: category["name"] for number, category in reference.cats.items()}
    found = [(names[a["category_id"]], *a["bbox"]) for a in reference.loadAnns(reference.getAnnIds())]
    expected = [("ship", 1.1, 2.2, 8.6, 7.1), ("car", 0, 0, 40, 30)]
    assert [row[0] for row in found] == [row[0] for row in expected]
    assert np.allclose([row[1:] for row in found], [row[1:] for row in expected], atol=1e-5)
    assert reference.imgs[1]["file_name"] == "a.png" and (tmp_path / "out" / "images" / "a.png").is_file()


EDGES = st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), min_size=1, max_size=4)


@given(EDGES, st.sampled_from(TARGETS), st.integers(3, 3000), st.integers(3, 3000))
def test_boxes_between_pixels_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, shares: list[tuple[float, ...]], to: FormatName, width: int, height: int
) -> None:
    scaled = np.array(shares, np.float32) * np.array([width, height, width, height], np.float32)
    boxes = np.column_stack([np.minimum(scaled[:, :2], scaled[:, 2:]), np.maximum(scaled[:, :2], scaled[:, 2:])])
    boxes = np.round(boxes * 16) / 16  # what a labelling tool can draw; VOC adds 1, which costs the last bits of others
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)]
    folder = tmp_path_factory.mktemp("set")
    image = write_image(folder / "a.png", width, height) if width * height < 10_000 else _blank(folder, width, height)
    one = annotation(image, (width, height), boxes.tolist(), [0] * len(boxes))
    out = folder / "out"
    out.mkdir()
    convert_sets({"train": labelled_set(one)}, out, to)
    (back,) = read_source(out, TRAIN).annotations
    assert back.boxes_xyxy.tolist() == one.boxes_xyxy.tolist()


def _blank(folder: Path, width: int, height: int) -> Path:
    from PIL import Image

    Image.new("1", (width, height)).save(folder / "a.png")
    return folder / "a.png"


def two_splits(tmp_path: Path) -> dict[str, LabelledSet]:
    """Images of one name in two folders; the second is annotated for one class only, and has a box to ignore."""

    def one(folder: str, **more: object) -> Annotation:
        return annotation(write_image(tmp_path / folder / "same.png"), **more)  # type: ignore[arg-type]

    first = one("x", boxes=[(1, 2, 9, 9)], labels=[0], labelled=(0, 1))
    second = one("y", boxes=[(3, 4, 9, 9)], labels=[1], labelled=(1,), difficult=[True])
    return {name: labelled_set(part, classes=["car", "ship"]) for name, part in (("train", first), ("val", second))}


@pytest.mark.parametrize("to", TARGETS)
def test_splits_stay_apart_and_equal_names_get_numbers(tmp_path: Path, to: FormatName) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    lost = convert_sets(two_splits(tmp_path), folder, to)
    assert splits_in(folder) == (TRAIN, VAL)
    train, val = (read_source(folder, split) for split in (TRAIN, VAL))
    assert boxes_of(train) == {"same.png": [("car", (1, 2, 9, 9))]}
    assert boxes_of(val) == {"same-2.png": [("ship", (3, 4, 9, 9))]}
    assert train.classes == val.classes == ("car", "ship")
    (one,) = val.annotations
    assert one.image.read_bytes() == (tmp_path / "y" / "same.png").read_bytes()
    assert bool(one.difficult[0]) is (to is not FormatName.YOLO)
    assert one.labelled_classes == ((1,) if to is FormatName.COCO else (0, 1))
    partly = "images annotated for some of the classes only, which the format cannot say: 1"
    told = {
        FormatName.COCO: (),
        FormatName.VOC: (partly,),
        FormatName.YOLO: ("boxes to be ignored (crowds, difficult) that are ordinary boxes now: 1", partly),
    }
    assert lost == told[to]
