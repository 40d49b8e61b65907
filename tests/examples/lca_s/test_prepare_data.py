"""All data of the recipes, made of tiny sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import prepare_data
import pytest
from conftest import REPOSITORY
from PIL import Image

from lcageo.data.formats.coco import read_coco
from lcageo.training.config import read_recipe

LICENCES = [
    ("CC BY 4.0", True),
    ("Public Domain (as tagged by its uploader)", True),
    ("NEON airborne RGB (NeonTreeEvaluation): CC0 1.0", True),
    ("", False),
    ("CC BY-SA 4.0, somebody", False),
    ("CC BY-NC 4.0", False),
    ("labels CC BY 4.0; images are DOTA v1.0 (academic use)", False),
    ("repository has no licence file; elsewhere as Public Domain", False),
]


@pytest.mark.parametrize(("licence", "is_open"), LICENCES)
def test_open_licences_are_told_from_others(licence: str, is_open: bool) -> None:
    assert prepare_data.is_open({"licence": licence}) is is_open


def write_set(folder: Path, names: list[str], classes: list[str], source: str, licence: str) -> None:
    """train.json and val.json with one object of 40 pixels on each image of 200."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        images, boxes = [], []
        for number, name in enumerate(names):
            file = f"{name}-{split}.png"
            Image.fromarray(rng.integers(0, 255, (200, 200, 3), np.uint8)).save(folder / "images" / file)
            record = {"id": number, "file_name": file, "width": 200, "height": 200, "source": source}
            images.append({**record, "licence": licence, "labelled_categories": classes})
            box = {"id": number, "image_id": number, "category_id": number % len(classes), "bbox": [50, 60, 40, 20]}
            boxes.append({**box, "area": 800, "iscrowd": 0})
        listed = [{"id": number, "name": name} for number, name in enumerate(classes)]
        content = {"images": images, "annotations": boxes, "categories": listed}
        (folder / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_set(folder / "vhr10", ["a", "b", "c"], ["airplane", "ship", "vehicle"], "NWPU VHR-10", "")
    names = [f"kit{number}" for number in range(9)]
    write_set(folder / "openmix", names, ["car", "large-vehicle", "ship", "airplane"], "KIT AIS via jekhor", "CC BY")
    write_set(folder / "aerialmix", ["hrsc2016", "neg_neon"], ["ship", "airplane"], "x", "CC0 1.0")
    sets = [part for name in prepare_data.SETS for part in (f"--{name}", str(folder / name))]
    prepare_data.main([*sets, "--out", str(folder / "build"), "--chips", "1", "--small", "2"])
    return folder / "build"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["lca-s.toml", "lca-s-open.toml"])
def test_everything_that_a_recipe_names_is_made(build: Path, recipe: str) -> None:
    config = read_recipe(REPOSITORY / "examples/lca_s" / recipe)
    for path in config.data:
        made = read_coco(build / Path(path).relative_to("build"), strict=True)
        assert len(made) > 0 and all(annotation.image.is_file() for annotation in made.annotations)
    assert {Path(path).parent.name for path in config.val} == {"val"}


@pytest.mark.slow
def test_validation_images_are_parted_by_source_and_open_ones_kept_apart(build: Path) -> None:
    assert {path.name for path in (build / "val").iterdir()} == {
        "vhr10.json", "openmix.json", "hrsc2016.json", "negatives.json"
    }  # fmt: skip
    assert {path.name for path in (build / "open").iterdir()} == {"openmix.json", "aerialmix.json"}
    assert all(one.image.name.endswith("-val.png") for one in read_coco(build / "val/vhr10.json").annotations)
