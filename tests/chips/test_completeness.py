"""Labels that probably stand beside objects of their kind that have none."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from support.labelled_scenes import CRS, make, on_map, write_labels
from support.scenes import noise, write_scene

from lcageo.chips.completeness import clustering


def test_the_index_is_one_for_points_spread_by_chance_and_that_of_a_slow_loop() -> None:
    points = np.random.default_rng(3).uniform(0, 100, (400, 2))
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.diag(np.full(400, np.inf))
    slow = distances.min(axis=1).mean() / (0.5 * np.sqrt(100 * 100 / 400))
    assert clustering(points, 100 * 100) == pytest.approx(slow) == pytest.approx(1, abs=0.1)
    assert clustering(points / 10, 100 * 100) == pytest.approx(slow / 10)


def _boxes(step: int, count: int) -> list[shapely.Polygon]:
    places = [(20 + step * (at % count), 20 + step * (at // count)) for at in range(count * count)]
    return [on_map((x, y, x + 10, y + 10)) for x, y in places]


def test_labels_in_a_corner_of_the_chips_ask_for_the_labelled_area(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(400, 400))
    crowd = write_labels(tmp_path / "crowd.gpkg", _boxes(15, 4), name=["car"] * 16)
    spread = write_labels(tmp_path / "spread.gpkg", _boxes(90, 4), name=["car"] * 16)
    for labels, warned in ((crowd, True), (spread, False)):
        messages: list[str] = []
        make(tmp_path / labels.stem, [scene], labels, messages.append, size=400)
        assert any("16 labels of car" in line and "--aoi" in line for line in messages) == warned
    area = tmp_path / "area.gpkg"
    geopandas.GeoDataFrame(geometry=[on_map((10, 10, 90, 90))], crs=CRS).to_file(area)
    messages = []
    make(tmp_path / "named", [scene], crowd, messages.append, size=400, aoi=area)
    assert not any("crowd in a part" in line for line in messages)
