"""Labelled sets as users name them."""

import json

import pytest
from PIL import Image

from lcageo.data.annotations import SplitName
from lcageo.data.classmap import ClassMap
from lcageo.data.sets import read_sets
from lcageo.errors import DataError


def write_coco(path, names, boxes):
    """A COCO file with one image and one box of each class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(path.parent / f"{path.stem}.png")
    path.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": f"{path.stem}.png", "width": 64, "height": 48}],
                "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
                "annotations": [
                    {"id": index, "image_id": 1, "category_id": index, "bbox": box} for index, box in enumerate(boxes)
                ],
            }
        )
    )
    return path


def test_several_files_share_one_list_of_classes(tmp_path):
    one = write_coco(tmp_path / "one.json", ["car", "lorry"], [[0, 0, 9, 9], [20, 20, 9, 9]])
    other = write_coco(tmp_path / "other.json", ["ship"], [[5, 5, 9, 9]])
    found = read_sets([one, other], SplitName.TRAIN, None, ClassMap(targets={"car": "vehicle", "lorry": "vehicle"}))
    assert found.classes == ("vehicle", "ship")
    assert [annotation.labelled_classes for annotation in found.annotations] == [(0,), (1,)]
    assert [annotation.labels.tolist() for annotation in found.annotations] == [[0, 0], [1]]


@pytest.mark.parametrize(("name", "words"), [("nowhere", "does not exist"), ("folder", "is not a labelled set")])
def test_what_is_not_a_set_is_refused_with_a_remedy(tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=f"{words}; give a COCO file"):
        read_sets([tmp_path / name], SplitName.TRAIN)
