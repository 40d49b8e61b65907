"""Folders of VOC records as labelImg, CVAT, Roboflow and Pascal VOC itself lay them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.makers import voc_object, voc_xml
from support.set_files import BOXES, images, seen

from lcageo.data.annotations import ProblemKind, SplitName
from lcageo.data.formats.layout import Reading
from lcageo.data.formats.voc_folder import is_voc, read_voc_folder, voc_splits
from lcageo.errors import DataError

TRAIN, VAL = SplitName.TRAIN, SplitName.VAL


def records(folder: Path, names: Sequence[str] = ("a", "b"), first: int = 1) -> None:
    """Writes the XML files, counting pixels from `first`, as VOC does from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        objects = [voc_object(label, (x1 + first, y1 + first, x2, y2)) for label, (x1, y1, x2, y2) in BOXES[name]]
        text = voc_xml(f"<filename>{name}.png</filename>", *objects)
        (folder / f"{name}.xml").write_text(text)


def test_records_beside_their_images_as_labelimg_writes_them(tmp_path: Path) -> None:
    images(tmp_path)
    records(tmp_path)
    assert is_voc(tmp_path) and voc_splits(tmp_path) == ()
    read = read_voc_folder(tmp_path, VAL, Reading(strict=True))
    assert seen(read) == BOXES and read.classes == ("car", "ship") and not read.problems


@pytest.mark.parametrize("folder", ["JPEGImages", "images"])
def test_records_and_images_in_folders_of_their_own(tmp_path: Path, folder: str) -> None:
    images(tmp_path / folder)
    records(tmp_path / "Annotations")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "default.txt").write_text("a\nb\n")  # CVAT's
    assert is_voc(tmp_path)
    assert seen(read_voc_folder(tmp_path, TRAIN, Reading(strict=True))) == BOXES


def test_lists_of_names_are_splits_that_share_their_classes(tmp_path: Path) -> None:
    images(tmp_path / "JPEGImages")
    records(tmp_path / "Annotations")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, stems in {"train": "a", "val": "b", "trainval": "a\nb", "ship_train": "a  1"}.items():
        (lists / f"{name}.txt").write_text(f"{stems}\n")
    assert voc_splits(tmp_path) == (TRAIN, VAL)
    val = read_voc_folder(tmp_path, VAL, Reading(strict=True))
    assert seen(val) == {"b": BOXES["b"]}
    assert val.classes == ("car", "ship") and val.annotations[0].labelled_classes == (0, 1)


def test_lists_may_have_names_with_spaces_and_images_without_a_record(tmp_path: Path) -> None:
    """Datumaro 1.13 (format voc): names in lists as they are, and no record for an image without objects."""
    images(tmp_path / "JPEGImages", ["a", "b", "c"])
    records(tmp_path / "Annotations")
    for file in [*tmp_path.rglob("b.png"), *tmp_path.rglob("b.xml")]:
        file.rename(file.with_name(f"with space ü 2{file.suffix}"))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nc\n")
    (lists / "val.txt").write_text("with space ü 2\n", "utf-8")
    train = read_voc_folder(tmp_path, TRAIN, Reading(strict=True))
    val = read_voc_folder(tmp_path, VAL, Reading(strict=True))
    assert seen(train) == {"a": BOXES["a"]} and seen(val) == {"with space ü 2": BOXES["b"]}
    assert [problem.kind for problem in train.problems] == [ProblemKind.NO_RECORD]


def test_labelmes_records_give_the_bounds_of_their_points(tmp_path: Path) -> None:
    """Datumaro 1.13 (format label_me), after LabelMe's web tool: points, and objects marked as deleted."""
    images(tmp_path / "Images" / "default", ["a"])
    objects = ""
    for label, (x1, y1, x2, y2) in [*BOXES["a"], ("gone", (1.0, 1.0, 5.0, 5.0))]:
        corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
        points = "".join(f"<pt><x>{x:.2f}</x><y>{y:.2f}</y></pt>" for x, y in corners)
        deleted = int(label == "gone")
        objects += f"<object><name>{label}</name><deleted>{deleted}</deleted><polygon>{points}</polygon></object>"
    (tmp_path / "Annotations" / "default").mkdir(parents=True)
    size = "<imagesize><nrows>30</nrows><ncols>40</ncols></imagesize>"
    text = f"<annotation><filename>a.png</filename>{size}{objects}</annotation>"
    (tmp_path / "Annotations" / "default" / "a.xml").write_text(text)
    assert seen(read_voc_folder(tmp_path, TRAIN, Reading(strict=True))) == {"a": BOXES["a"]}


def test_folders_of_roboflow_are_splits_even_with_equal_names(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("valid", "b")):
        images(tmp_path / split, [name])
        records(tmp_path / split, [name])
        (tmp_path / split / f"{name}.xml").rename(tmp_path / split / "same.xml")
        (tmp_path / split / f"{name}.png").rename(tmp_path / split / "same.png")
    assert voc_splits(tmp_path) == (TRAIN, VAL)
    assert seen(read_voc_folder(tmp_path, TRAIN, Reading())) == {"same": BOXES["a"]}
    assert seen(read_voc_folder(tmp_path, VAL, Reading())) == {"same": BOXES["b"]}


def test_records_that_count_from_zero_are_recognised_for_the_whole_set(tmp_path: Path) -> None:
    images(tmp_path)
    records(tmp_path, first=0)
    text = (tmp_path / "b.xml").read_text()
    (tmp_path / "b.xml").write_text(text.replace("<xmin>5.0", "<xmin>0"))
    read = read_voc_folder(tmp_path, TRAIN, Reading(strict=True))
    assert seen(read) == {"a": BOXES["a"], "b": [("ship", (0.0, 6.0, 15.0, 16.0))]}
    assert "records that count pixels from 0, not from 1 as VOC does: 2" in str(read.problems[0])


def test_all_splits_count_from_the_pixel_that_one_of_them_shows(tmp_path: Path) -> None:
    """Only b has an object at the border, after the shift of its box; a is of another split."""
    for split, name in (("train", "b"), ("valid", "a")):
        images(tmp_path / split, [name])
        records(tmp_path / split, [name], first=0)
    edge = voc_xml("<filename>b.png</filename>", voc_object("ship", (0, 6, 15, 16)))
    (tmp_path / "train" / "b.xml").write_text(edge)
    assert seen(read_voc_folder(tmp_path, VAL, Reading(strict=True))) == {"a": BOXES["a"]}


def test_what_can_be_read_otherwise_is_counted(tmp_path: Path) -> None:
    """No size, a polygon instead of a box (Roboflow), a turned box (roLabelImg): a quarter turn swaps its sides."""
    images(tmp_path)
    polygon = "<polygon><x1>2</x1><y1>3</y1><x2>12</x2><y2>3</y2><x3>7</x3><y3>9</y3></polygon>"
    turned = "<robndbox><cx>30</cx><cy>22.5</cy><w>15</w><h>20</h><angle>1.5707963267948966</angle></robndbox>"
    shapes = f"<object><name>ship</name>{polygon}</object><object><name>car</name>{turned}</object>"
    (tmp_path / "a.xml").write_text(f"<annotation>{shapes}</annotation>")
    records(tmp_path, ["b"])
    read = read_voc_folder(tmp_path, TRAIN, Reading(strict=True))
    assert seen(read) == BOXES
    assert [problem.what for problem in read.problems] == [
        "sizes of images taken from their files: 1", "boxes from the bounds of polygons or turned boxes: 2",
    ]  # fmt: skip


def test_what_cannot_be_used_is_named_and_its_image_left_out(tmp_path: Path) -> None:
    images(tmp_path, ["a", "b", "c", "d"])
    records(tmp_path)
    (tmp_path / "b.xml").write_text(voc_xml(voc_object(), "<object><name>car</name></object>"))
    (tmp_path / "c.xml").write_text("<annotation")
    (tmp_path / "e.xml").write_text(voc_xml(voc_object()))
    read = read_voc_folder(tmp_path, TRAIN, Reading())
    assert list(seen(read)) == ["a"]
    told = [str(problem) for problem in read.problems]
    assert told == [
        f"{tmp_path / 'b.xml'}: line 4, object 2: <object> lacks <bndbox>; box skipped",
        f"{tmp_path / 'b.png'}: 1 of its 2 objects cannot be read and would be background; image skipped",
        f"{tmp_path / 'c.xml'}: line 1 is not XML: unclosed token; image skipped",
        f"{tmp_path / 'e.xml'}: no image 'e' in {tmp_path}; image skipped",
        f"{tmp_path}: images without a record that can be read: 2, such as '{tmp_path / 'c.png'}'; left out",
    ]
    with pytest.raises(DataError, match="object 2: <object> lacks <bndbox>"):
        read_voc_folder(tmp_path, TRAIN, Reading(strict=True))


def test_unlabelled_images_are_left_out_and_images_may_lie_elsewhere(tmp_path: Path) -> None:
    images(tmp_path / "set", ["a", "b", "c"])
    records(tmp_path / "set")
    read = read_voc_folder(tmp_path / "set", TRAIN, Reading())
    assert list(seen(read)) == ["a", "b"]
    assert (
        read.problems[0].kind is ProblemKind.NO_RECORD
        and "a record that can be read: 1, such as" in read.problems[0].what
    )
    for image in (tmp_path / "set").glob("*.png"):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        image.rename(tmp_path / "pictures" / image.name)
    assert seen(read_voc_folder(tmp_path / "set", TRAIN, Reading(tmp_path / "pictures"))) == BOXES


def test_other_xml_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset></PAMDataset>")
    (tmp_path / "cvat.xml").write_text("<annotations><version>1.1</version></annotations>")
    assert not is_voc(tmp_path)


def in_folders(root: Path, place: str = "JPEGImages") -> None:
    """Records A/1 and B/1, of the boxes of a and b, with images of these paths."""
    for folder, name in (("A", "a"), ("B", "b")):
        (image,) = images(root / place / folder, [name])
        records(root / "Annotations" / folder, [name])
        image.rename(image.with_stem("1"))
        record = root / "Annotations" / folder / f"{name}.xml"
        record.write_text(record.read_text().replace(f"{name}.png", "1.png"))
        record.rename(record.with_stem("1"))


def placed(root: Path, split: SplitName = TRAIN) -> dict[str, int]:
    """Number of boxes by the folder of their image."""
    return {one.image.parent.name: len(one) for one in read_voc_folder(root, split, Reading()).annotations}


@pytest.mark.parametrize("lines", ["A/1\nB/1\n", "A\\1\nB\\1\n", "/x/JPEGImages/A/1.png\nB/1.xml\n"])
def test_lists_may_have_folders(tmp_path: Path, lines: str) -> None:
    in_folders(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(lines)
    assert placed(tmp_path) == {"A": 2, "B": 1}
    (lists / "val.txt").write_text(lines.splitlines()[0])
    assert placed(tmp_path, VAL) == {"A": 2}


def test_a_list_that_does_not_say_the_folder_is_not_guessed(tmp_path: Path) -> None:
    in_folders(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("1\n")
    read = read_voc_folder(tmp_path, TRAIN, Reading())
    assert not read.annotations and read.problems[0].path == tmp_path / "Annotations" / "1.xml"
    assert "files in none of the splits (train): 2, such as" in read.problems[-1].what


def test_an_image_is_not_given_to_the_record_of_a_missing_one(tmp_path: Path) -> None:
    in_folders(tmp_path)
    (tmp_path / "JPEGImages" / "A" / "1.png").unlink()
    assert placed(tmp_path) == {"B": 1}
    (problem,) = read_voc_folder(tmp_path, TRAIN, Reading()).problems
    assert problem.kind is ProblemKind.MISSING_IMAGE and problem.path == tmp_path / "Annotations" / "A" / "1.xml"


def test_the_record_of_the_name_of_an_image_precedes_another_that_names_it(tmp_path: Path) -> None:
    images(tmp_path, ["b"])
    records(tmp_path, ["a", "b"])
    (tmp_path / "a.xml").write_text((tmp_path / "a.xml").read_text().replace("a.png", "b.png"))
    read = read_voc_folder(tmp_path, TRAIN, Reading())
    assert seen(read) == {"b": BOXES["b"]} and [one.kind for one in read.problems] == [ProblemKind.DUPLICATE_IMAGE]


def test_a_folder_with_the_name_of_a_split_hides_no_others(tmp_path: Path) -> None:
    for folder, name in (("test", "a"), ("berlin", "b")):
        images(tmp_path / folder, [name])
        records(tmp_path / folder, [name])
    assert voc_splits(tmp_path) == ()
    read = read_voc_folder(tmp_path, TRAIN, Reading(strict=True))
    assert read.problems == () and seen(read) == {"b": BOXES["b"], "a": BOXES["a"]}


def test_folders_may_be_links(tmp_path: Path) -> None:
    images(tmp_path / "set" / "JPEGImages")
    records(tmp_path / "disk")
    (tmp_path / "set" / "Annotations").symlink_to(tmp_path / "disk")
    assert is_voc(tmp_path / "set")
    assert seen(read_voc_folder(tmp_path / "set", TRAIN, Reading(strict=True))) == BOXES


@pytest.mark.parametrize("first", [0, 1])
def test_boxes_that_cvat_turned_become_their_bounds(tmp_path: Path, first: int) -> None:
    """A quarter turn around (15, 15); a box that begins at 0 shows whether the set counts from 0."""
    images(tmp_path, ["a"])
    turn = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
    boxes = [("ship", (5 + first, 12 + first, 25, 18), turn), ("car", (first, first, 9, 9), "")]
    (tmp_path / "a.xml").write_text(voc_xml(*(voc_object(*one) for one in boxes)))
    read = read_voc_folder(tmp_path, TRAIN, Reading(strict=True))
    assert seen(read) == {"a": [("ship", (12, 5, 18, 25)), ("car", (0, 0, 9, 9))]}
    assert read.problems[0].what == "boxes from the bounds of polygons or turned boxes: 1"


def test_cvats_own_names_of_splits_are_lists_of_them(tmp_path: Path) -> None:
    images(tmp_path / "JPEGImages")
    records(tmp_path / "Annotations")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, stems in {"Train": "a", "Validation": "b", "ship_train": "a  1"}.items():
        (lists / f"{name}.txt").write_text(f"{stems}\n", "utf-8-sig")
    assert voc_splits(tmp_path) == (TRAIN, VAL)
    assert seen(read_voc_folder(tmp_path, VAL, Reading(strict=True))) == {"b": BOXES["b"]}
    (lists / "Train.txt").write_text("a\n", "utf-16")
    with pytest.raises(DataError, match=r"list '.*Train\.txt' cannot be read: .*; save it as text in UTF-8"):
        voc_splits(tmp_path)


def test_what_gdal_keeps_beside_chips_is_no_record(tmp_path: Path) -> None:
    images(tmp_path)
    records(tmp_path)
    for name in ("a.png.aux.xml", "b.PNG.AUX.XML"):
        (tmp_path / name).write_text("<PAMDataset><Metadata/></PAMDataset>")
    read = read_voc_folder(tmp_path, TRAIN, Reading(strict=True))
    assert seen(read) == BOXES and not read.problems


def test_fair1m_gives_the_bounds_of_its_corners(tmp_path: Path) -> None:
    images(tmp_path / "images", suffix=".tif")
    (tmp_path / "labelXml").mkdir()
    for name, objects in BOXES.items():
        parts = []
        for label, (x1, y1, x2, y2) in objects:
            middle = (x1 + x2) / 2, (y1 + y2) / 2
            corners = [(middle[0], y1), (x2, middle[1]), (middle[0], y2), (x1, middle[1]), (middle[0], y1)]
            points = "".join(f"<point>{x:.6f},{y:.6f}</point>" for x, y in corners)
            result = f"<possibleresult><name>{label}</name></possibleresult>"
            parts.append(f"<object><coordinate>pixel</coordinate>{result}<points>{points}</points></object>")
        size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
        source = f"<source><filename>{name}.tif</filename><origin>GF2/GF3</origin></source>"
        text = f"<annotation>{source}{size}<objects>{''.join(parts)}</objects></annotation>"
        (tmp_path / "labelXml" / f"{name}.xml").write_text(text)
    assert is_voc(tmp_path)
    assert seen(read_voc_folder(tmp_path, TRAIN, Reading(strict=True))) == BOXES
    broken = (tmp_path / "labelXml" / "a.xml").read_text().replace("<point>7.0", "<point>seven")
    (tmp_path / "labelXml" / "a.xml").write_text(broken)
    read = read_voc_folder(tmp_path, TRAIN, Reading())
    assert seen(read) == {"b": BOXES["b"]} and "not two numbers of pixels" in str(read.problems[0])
