"""CSV tables as DeepForest, Keras RetinaNet, TensorFlow, Roboflow and torchvision's users write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.set_files import BOXES, images, seen

from lcageo.data.annotations import ProblemKind, SplitName
from lcageo.data.formats.csv_table import csv_splits, is_csv, read_csv
from lcageo.data.formats.layout import Reading
from lcageo.errors import DataError

TRAIN, VAL = SplitName.TRAIN, SplitName.VAL
ROWS = [(f"{name}.png", label, *map(int, box)) for name, boxes in BOXES.items() for label, box in boxes]
STYLES = {
    "DeepForest": ["image_path,xmin,ymin,xmax,ymax,label", *(f"{i},{a},{b},{c},{d},{n}" for i, n, a, b, c, d in ROWS)],
    "image, x1, y1, x2, y2, label": [
        "image, x1, y1, x2, y2, label", *(f"{i}, {a}, {b}, {c}, {d}, {n}" for i, n, a, b, c, d in ROWS)
    ],
    "Keras, without a head": [f"{i},{a},{b},{c},{d},{n}" for i, n, a, b, c, d in ROWS],
    "TensorFlow and Roboflow": [
        "filename,width,height,class,xmin,ymin,xmax,ymax",
        *(f"{i},40,30,{n},{a},{b},{c},{d}" for i, n, a, b, c, d in ROWS),
    ],
    "sides": ["image;label;x;y;w;h", *(f"{i};{n};{a};{b};{c - a};{d - b}" for i, n, a, b, c, d in ROWS)],
    "paths of another machine": [
        "path\tx1\ty1\tx2\ty2\tclass", *(f"C:\\data\\{i}\t{a}\t{b}\t{c}\t{d}\t{n}" for i, n, a, b, c, d in ROWS)
    ],
}  # fmt: skip


def table(folder: Path, lines: list[str], name: str = "boxes.csv") -> Path:
    images(folder)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return folder / name


@pytest.mark.parametrize("lines", STYLES.values(), ids=STYLES)
def test_columns_are_found_by_their_names(tmp_path: Path, lines: list[str]) -> None:
    path = table(tmp_path, lines)
    for source in (path, tmp_path):
        assert is_csv(source) and csv_splits(source) == ()
        read = read_csv(source, VAL, Reading(strict=True))
        assert seen(read) == BOXES and read.classes == ("car", "ship")


def test_rows_without_a_box_say_that_an_image_is_empty(tmp_path: Path) -> None:
    path = table(tmp_path, [*STYLES["DeepForest"], "c.png,0,0,0,0,ship", "d.png,,,,,"])
    images(tmp_path, ["c", "d"])
    assert seen(read_csv(path, TRAIN, Reading(strict=True))) == BOXES | {"c": [], "d": []}


def test_tables_of_splits_share_their_classes(tmp_path: Path) -> None:
    """As Roboflow lays them out; b's table does not have 'car'."""
    for split, names in (("train", "a"), ("valid", "b")):
        lines = [line for line in STYLES["DeepForest"] if line[0] in ("i", names)]
        images(tmp_path / split, [names])
        (tmp_path / split / "_annotations.csv").write_text("\n".join(lines))
    assert is_csv(tmp_path) and csv_splits(tmp_path) == (TRAIN, VAL)
    val = read_csv(tmp_path, VAL, Reading(strict=True))
    assert seen(val) == {"b": BOXES["b"]} and val.classes == ("car", "ship")


@pytest.mark.parametrize(
    ("row", "words", "kept"),
    [
        ("a.png,1,2,x,4,ship", "line 5: 'x' is not a number; box skipped", ["b"]),
        ("a.png,1,2,3,4,", "line 5: has a box without a label; box skipped", ["b"]),
        ("a.png,1,2,3", "line 5: '' is not a number; box skipped", ["b"]),
        ("a.png,9,2,3,4,ship", "line 5: box 9, 2, 3, 4 is empty or inverted; box skipped", ["a", "b"]),
        ("none.png,1,2,3,4,ship", "line 5: no file 'none.png' in ", ["a", "b"]),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, row: str, words: str, kept: list[str]) -> None:
    path = table(tmp_path, [*STYLES["DeepForest"], row])
    read = read_csv(path, TRAIN, Reading())
    assert list(seen(read)) == kept and str(read.problems[0]).startswith(f"{path}: {words}")
    with pytest.raises(DataError, match="line 5"):
        read_csv(path, TRAIN, Reading(strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; its first row should name columns"),
        ("image,xmin,ymin,xmax,label\n", "has no column for x1, y1, x2, y2 among image, xmin"),
        ("a,b\n1,2\n", "has no column for image, label, x1, y1, x2, y2 among a, b; name them image, x1"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_csv(tmp_path / "a.csv", TRAIN, Reading())
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text in UTF-8"):
        read_csv(tmp_path / "a.csv", TRAIN, Reading())


def test_images_may_lie_elsewhere_and_several_tables_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "set", STYLES["DeepForest"])
    for image in (tmp_path / "set").glob("*.png"):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        image.rename(tmp_path / "pictures" / image.name)
    assert read_csv(path, TRAIN, Reading()).problems[0].kind is ProblemKind.MISSING_IMAGE
    assert seen(read_csv(path, TRAIN, Reading(tmp_path / "pictures"))) == BOXES
    (tmp_path / "set" / "more.csv").write_text(path.read_text())
    with pytest.raises(DataError, match="has several tables of boxes"):
        read_csv(tmp_path / "set", TRAIN, Reading())


def test_a_table_with_the_name_of_a_split_hides_no_others(tmp_path: Path) -> None:
    table(tmp_path / "test", STYLES["DeepForest"], "test_site.csv")  # in a folder of that name as well
    table(tmp_path / "test", STYLES["DeepForest"], "berlin.csv")
    with pytest.raises(DataError, match=r"has several tables of boxes for its images: .*berlin.csv.*test_site.csv"):
        csv_splits(tmp_path / "test")


def test_an_image_is_not_given_to_two_names_that_it_fits(tmp_path: Path) -> None:
    path = table(tmp_path, [STYLES["DeepForest"][0], "A/a.png,2,3,12,9,ship", "B/a.png,1,2,9,9,ship", "b.png,,,,,"])
    read = read_csv(path, TRAIN, Reading())
    assert seen(read) == {"b": []}
    told = [f"{path}: line {line}: no file '{name}/a.png'; " for line, name in ((2, "A"), (3, "B"))]
    assert [str(problem).startswith(start) for problem, start in zip(read.problems, told, strict=True)] == [True] * 2


@pytest.mark.parametrize("separator", [", ", ";  ", ","])
def test_quotes_after_blanks_are_none_of_the_name(tmp_path: Path, separator: str) -> None:
    lines = [separator.join(['"image"', "x1", "y1", "x2", "y2", '"label"'])]
    lines += [separator.join([f'"{i}"', *map(str, box), f'"{name}, big"']) for i, name, *box in ROWS]
    read = read_csv(table(tmp_path, lines), TRAIN, Reading(strict=True))
    named = {image: [(f"{name}, big", box) for name, box in boxes] for image, boxes in BOXES.items()}
    assert seen(read) == named
