from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from support.makers import annotation

from lcageo.data.formats.voc_writer import write_voc


def test_records_count_pixels_from_one_and_lists_name_the_images(tmp_path: Path) -> None:
    one = annotation("x.jpg", (40, 30), [(0, 3, 30.5, 9)], [1], (0, 1), [True])
    places = write_voc(
        tmp_path, {"train": [("a.b.jpg", one)], "val": [("b.png", annotation())]}, ("car", "<ship & co>")
    )
    assert places == dict.fromkeys(("train", "val"), tmp_path / "JPEGImages")
    root = ElementTree.parse(tmp_path / "Annotations" / "a.b.xml").getroot()
    assert root.findtext("filename") == "a.b.jpg" and root.findtext("size/width") == "40"
    (found,) = root.findall("object")
    assert found.findtext("name") == "<ship & co>" and found.findtext("difficult") == "1"
    assert [found.findtext(f"bndbox/{tag}") for tag in ("xmin", "ymin", "xmax", "ymax")] == ["1", "4", "30.5", "9"]
    assert not ElementTree.parse(tmp_path / "Annotations" / "b.xml").getroot().findall("object")
    lists = tmp_path / "ImageSets" / "Main"
    assert (lists / "train.txt").read_text() == "a.b\n" and (lists / "val.txt").read_text() == "b\n"
