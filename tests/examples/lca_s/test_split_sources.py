from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from split_sources import main, source_of

from lcageo.data.formats.coco import read_coco


@pytest.mark.parametrize(
    ("name", "source"),
    [("hrsc2016-100.jpg", "hrsc2016"), ("a/neg_neon-7.png", "negatives"), ("plain.jpg", "plain.jpg")],
)
def test_the_source_is_the_start_of_the_name(name: str, source: str) -> None:
    assert source_of(name) == source


def test_each_image_and_box_is_in_the_file_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["ships-1.jpg", "neg_dunes-1.jpg", "ships-2.jpg", "neg_wood-1.jpg"]
    images = [{"id": n, "file_name": name, "width": 50, "height": 40} for n, name in enumerate(names)]
    (tmp_path / "images").mkdir()
    for name in names:
        Image.new("RGB", (50, 40)).save(tmp_path / "images" / name)
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4 + n], "area": 3} for n in (0, 2)]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "ship"}]}
    (tmp_path / "all.json").write_text(json.dumps(content))
    monkeypatch.setattr(sys, "argv", ["split", str(tmp_path / "all.json"), str(tmp_path / "parts")])
    main()
    ships, empty = (read_coco(tmp_path / "parts" / f"{name}.json") for name in ("ships", "negatives"))
    assert [one.image for one in ships.annotations] == [tmp_path / "images" / names[n] for n in (0, 2)]
    assert [one.boxes_xyxy.tolist() for one in ships.annotations] == [[[1, 2, 4, 6]], [[1, 2, 4, 8]]]
    assert len(empty) == 2 and not any(map(len, empty.annotations)) and empty.classes == ("ship",)
