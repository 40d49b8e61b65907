from __future__ import annotations

import base64
import zlib

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from lcageo.report.packed_columns import UNIT, pack_polygons


def unpacked(packed: dict[str, str]) -> list[list[list[tuple[float, float]]]]:
    """Rings of corners of each shape, read by a simple independent reader."""
    raw = {name: zlib.decompress(base64.b64decode(text)) for name, text in packed.items()}
    rings, sizes = (np.frombuffer(raw[name], "<u4").tolist() for name in ("rings", "sizes"))
    steps = np.frombuffer(raw["steps"], "<i4").tolist()
    shapes, x, y, corner, ring = [], 0, 0, 0, 0
    for count in rings:
        shape = []
        for size in sizes[ring : ring + count]:
            places = []
            for _ in range(size):
                x, y, corner = x + steps[2 * corner], y + steps[2 * corner + 1], corner + 1
                places.append((x / UNIT, y / UNIT))
            shape.append(places)
        shapes.append(shape)
        ring += count
    assert corner == len(steps) // 2 and ring == len(sizes)
    return shapes


BOXES = st.tuples(st.floats(-100, 200_000), st.floats(-100, 200_000), st.floats(1, 900), st.floats(1, 900)).map(
    lambda one: shapely.box(one[0], one[1], one[0] + one[2], one[1] + one[3])
)
FRAMES = BOXES.map(lambda box: box.difference(shapely.buffer(box.centroid, 0.2, quad_segs=1)))
PAIRS = BOXES.map(lambda box: shapely.MultiPolygon([box, shapely.affinity.translate(box, 5000, 0)]))


@given(st.lists(BOXES | FRAMES | PAIRS, max_size=8))
def test_packed_polygons_come_back_within_half_a_step(shapes: list[shapely.Geometry]) -> None:
    read = unpacked(pack_polygons(np.array(shapes, object)))
    expected = [
        [list(ring.coords)[:-1] for part in shapely.get_parts(shape) for ring in (part.exterior, *part.interiors)]
        for shape in shapes
    ]
    assert [[len(ring) for ring in shape] for shape in read] == [[len(ring) for ring in shape] for shape in expected]
    for one, other in zip(read, expected, strict=True):
        for ring, corners in zip(one, other, strict=True):
            assert np.abs(np.array(ring) - np.array(corners)).max() <= 0.5 / UNIT + 1e-9


def test_a_far_coordinate_does_not_affect_those_after_it() -> None:
    far, near = shapely.box(-1e12, 0, 1e12, 10), shapely.box(1, 2, 3, 4)
    assert unpacked(pack_polygons(np.array([far, near], object)))[1] == [[(3, 2), (3, 4), (1, 4), (1, 2)]]


def test_boxes_take_a_few_bytes_each() -> None:
    corners = np.random.default_rng(0).uniform(0, 50_000, (10_000, 2))
    boxes = shapely.box(*corners.T, *(corners + np.random.default_rng(1).uniform(5, 60, (10_000, 2))).T)
    assert sum(map(len, pack_polygons(boxes).values())) < 25 * 10_000
