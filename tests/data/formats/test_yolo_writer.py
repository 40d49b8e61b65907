from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.makers import annotation

from lcageo.data.formats.yolo_writer import write_yolo


def test_shares_are_those_of_the_box_and_names_are_yaml(tmp_path: Path) -> None:
    one = annotation("x.jpg", (40, 30), [(10, 3, 30, 9)], [1], (0, 1))
    classes = ("car: small", 'a "ship"', "yes", "12", "Größe")
    places = write_yolo(tmp_path, {"train": [("a.jpg", one)], "val": [("b.png", annotation())]}, classes)
    assert places == {split: tmp_path / "images" / split for split in ("train", "val")}
    number, *shares = (tmp_path / "labels" / "train" / "a.txt").read_text().split()
    assert number == "1" and list(map(float, shares)) == pytest.approx([20 / 40, 6 / 30, 20 / 40, 6 / 30], abs=1e-12)
    assert (tmp_path / "labels" / "val" / "b.txt").read_text() == ""
    content = yaml.safe_load((tmp_path / "data.yaml").read_text("utf-8"))
    assert content == {"train": "images/train", "val": "images/val", "names": dict(enumerate(classes))}
