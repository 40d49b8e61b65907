"""The labels of the car park, and the program that measures what they teach."""

from __future__ import annotations

from pathlib import Path

import car_park
import geopandas
import numpy as np
import pytest
from conftest import DATA

SCENE = DATA / "scenes" / "oam_bridge_parking_epsg3395.tif"


@pytest.mark.parametrize(
    ("labels", "area", "other", "count"),
    [
        (car_park.LABELS, car_park.LABELLED, car_park.HELD_OUT, 28),
        (car_park.TRUTH, car_park.HELD_OUT, car_park.LABELLED, 42),
    ],
)
def test_labels_are_as_large_as_cars_and_in_their_own_part(labels: Path, area: Path, other: Path, count: int) -> None:
    cars, own, foreign = (geopandas.read_file(path).to_crs(32651) for path in (labels, area, other))
    assert len(cars) == count and set(cars["class"]) == {"car"}
    assert cars.centroid.within(own.geometry[0]).all() and not cars.centroid.within(foreign.geometry[0]).any()
    bounds = cars.bounds.to_numpy()
    sides = bounds[:, 2:] - bounds[:, :2]
    assert sides.min() > 2 and sides.max() < 6  # metres; cars stand at an angle in their boxes
    assert own.geometry[0].intersection(foreign.geometry[0]).area < 1


def test_a_row_says_what_was_found_and_what_was_false() -> None:
    row = car_park.Figures(0.9, 31, 2, 42, 0.25).row("seed 1")
    assert row.split() == ["seed", "1", "0.900", "31", "of", "42", "2", "0.25"]
    assert len(row) == len(car_park.HEADING)


@pytest.mark.slow
@pytest.mark.skipif(not SCENE.is_file(), reason=f"the scene {SCENE} is not there")
def test_one_command_gives_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--minutes", "0.2", "--seeds", "3", "--size", "320", "--device", "cpu")
    car_park.main([str(SCENE), str(tmp_path / "run"), *options])
    heading, before, after = capsys.readouterr().out.splitlines()[-3:]
    assert heading == car_park.HEADING and before.startswith("before") and after.startswith("seed 3")
    assert np.all([0 <= float(line.split("of")[0].split()[-2]) <= 1 for line in (before, after)])
