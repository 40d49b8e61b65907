from __future__ import annotations

from pathlib import Path
from typing import Any

from curate_labels import curated

SHIPS, AIRPORT = "Ships in Google Earth (Roboflow robin-public)", "HRPlanesV2"


def content(*images: dict[str, Any], boxed: tuple[tuple[int, int], ...] = ()) -> dict[str, Any]:
    return {
        "images": [{"id": number, "file_name": f"{number}.png", **image} for number, image in enumerate(images)],
        "categories": [{"id": 1, "name": "ship"}, {"id": 4, "name": "airplane"}, {"id": 7, "name": "vehicle"}],
        "annotations": [{"image_id": image, "category_id": category} for image, category in boxed],
    }


def test_classes_that_a_source_does_not_show_are_annotated_as_absent(tmp_path: Path) -> None:
    given = content({"source": SHIPS, "labelled_categories": ["ship"]}, {"source": "other", "labelled_categories": []})
    first, second = (result := curated(given, tmp_path))["images"]
    assert first["labelled_categories"][:2] == ["ship", "airplane"] and "tennis court" in first["labelled_categories"]
    assert first["file_name"] == str(tmp_path / "0.png") and second["labelled_categories"] == []
    names = {category["name"]: category["id"] for category in result["categories"]}
    assert names["ship"] == 1 and set(first["labelled_categories"]) <= set(names)
    assert len(set(names.values())) == len(names) == len(result["categories"])
    assert "vehicle" not in first["labelled_categories"]


def test_images_that_may_lack_vehicles_are_not_annotated_for_them(tmp_path: Path) -> None:
    images = [{"source": "NWPU VHR-10"} for _ in range(3)]
    with_vehicle, airport, port = curated(content(*images, boxed=((0, 7), (1, 4), (2, 1))), tmp_path)["images"]
    assert with_vehicle["labelled_categories"] == port["labelled_categories"] == ["ship", "airplane", "vehicle"]
    assert airport["labelled_categories"] == ["ship", "airplane"]


def test_the_sets_inside_aerialmix_are_known_by_their_names(tmp_path: Path) -> None:
    names = ["hrsc2016-1.jpg", "rsod-oiltank_3.jpg", "dior_fewshot-1.jpg"]
    images = [{"file_name": name, "source": f"somewhere/{name}", "labelled_categories": ["ship"]} for name in names]
    ships, tanks, unknown = curated(content(*images), tmp_path)["images"]
    assert "airplane" in ships["labelled_categories"] and "tennis court" not in ships["labelled_categories"]
    assert "tennis court" in tanks["labelled_categories"] and unknown["labelled_categories"] == ["ship"]
