"""Which chips are cut, and of which split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import xy
from support.labelled_scenes import FILL, TURNED, coco, make, on_map, write_labels
from support.scenes import UTM, noise, write_scene

from lcageo.config import EdgeNodata
from lcageo.errors import DataError, UsageError


def coded(width: int, height: int, x0: int = 0, y0: int = 0) -> NDArray[np.uint8]:
    """Pixels whose colour says where on the ground they lie: no two of 0..1023 squared alike, none black."""
    y, x = np.mgrid[y0 : y0 + height, x0 : x0 + width]
    return np.stack([x % 256, y % 256, 16 + x // 256 * 4 + y // 256]).astype(np.uint8)


def places_in(chips: Path, side: str) -> set[tuple[int, int]]:
    """The ground that a side's chips show, read off their pixels."""
    found: set[tuple[int, int]] = set()
    for image, _ in coco(chips / f"{side}.json") if (chips / f"{side}.json").exists() else []:
        pixels = np.asarray(Image.open(chips / "images" / image["file_name"])).astype(int).reshape(-1, 3)
        pixels = pixels[(pixels != FILL).any(axis=1)]
        high = pixels[:, 2] - 16
        found |= set(
            zip((pixels[:, 0] + 256 * (high // 4)).tolist(), (pixels[:, 1] + 256 * (high % 4)).tolist(), strict=True)
        )
    return found


@settings(max_examples=12)
@given(
    seed=st.integers(0, 99),
    block=st.sampled_from([20.0, 33.3, 70.0]),
    turned=st.booleans(),
    boxes=st.lists(
        st.tuples(st.integers(0, 270), st.integers(0, 270), st.integers(4, 60), st.integers(4, 60)),
        min_size=8, max_size=30,
    ),
)  # fmt: skip
def test_no_ground_and_no_label_is_in_both_train_and_val(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    block: float,
    turned: bool,
    boxes: list[tuple[int, int, int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("split")
    transform = TURNED if turned else UTM
    east, north = xy(transform, 23, 37, offset="ul")  # the second scene shows partly the same ground
    shifted = rasterio.Affine(transform.a, transform.b, float(east), transform.d, transform.e, float(north))
    first = write_scene(folder / "a.tif", coded(256, 256), transform=transform)
    second = write_scene(folder / "b.tif", coded(256, 256, 37, 23), transform=shifted)
    corners = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    labels = write_labels(folder / "labels.gpkg", [on_map(box, transform) for box in corners])
    config = {"size": 64, "val": 0.3, "negatives": 0.5, "block_m": block, "edge_nodata": EdgeNodata.NONE}
    try:
        summary = make(folder / "chips", [first, second], labels, class_name="a", seed=seed, **config)
    except (UsageError, DataError):  # all in one block, or none visible: covered by tests of their own
        return
    train, val = places_in(folder / "chips", "train"), places_in(folder / "chips", "val")
    assert train and not train & val
    assert summary.labels["train"]["a"] + summary.labels["val"]["a"] <= len(boxes)
    for side, other in (("train", val), ("val", train)):
        if not (folder / "chips" / f"{side}.json").exists():
            continue
        for image, records in coco(folder / "chips" / f"{side}.json"):
            dx, dy = (37, 23) if image["file_name"].startswith("b_") else (0, 0)
            x1, y1 = image["scene_xyxy"][0] + dx, image["scene_xyxy"][1] + dy
            for one in records:
                x, y, width, height = one["bbox"]
                part = shapely.box(x1 + x, y1 + y, x1 + x + width, y1 + y + height)
                whole = [box for box in corners if shapely.box(*box).buffer(0.01).contains(part)]
                assert whole  # and of at least one label that has it, the other side sees nothing
                assert any(
                    not any((px, py) in other for px in range(int(a), int(c)) for py in range(int(b), int(d)))
                    for a, b, c, d in whole
                )


def test_blocks_split_what_classes_there_are(place: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 380, (200, 2)).tolist()
    shapes = [on_map((x, y, x + 10, y + 10)) for x, y in corners]
    labels = write_labels(tmp_path / "labels.gpkg", shapes, kind=["rare"] * 20 + ["common"] * 180)
    summary = make(tmp_path / "chips", [place / "scene.tif"], labels, class_field="kind", val=0.25, block_m=20.0)
    for name, count in (("rare", 20), ("common", 180)):
        assert 0.1 * count <= summary.labels["val"][name] <= 0.45 * count
        assert summary.labels["train"][name] + summary.labels["val"][name] >= 0.85 * count
    assert summary.chips["val"] > 0 and (tmp_path / "chips" / "split" / "scene.png").exists()


def test_chips_without_objects_are_as_many_as_asked_for_and_the_same_each_time(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(1000, 1000))
    labels = write_labels(tmp_path / "labels.gpkg", [on_map((x, 30, x + 20, 50)) for x in range(20, 980, 100)])
    summaries = [make(tmp_path / name, [scene], labels, class_name="a", negatives=0.4) for name in ("one", "two")]
    assert summaries[0].negatives["train"] == pytest.approx(0.4 * summaries[0].chips["train"], abs=1)
    names = sorted(path.name for path in (tmp_path / "one" / "images").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two" / "images").iterdir())
    assert len(names) == summaries[0].chips["train"]
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
