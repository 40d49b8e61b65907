from __future__ import annotations

from itertools import combinations

import numpy as np

from lcageo.data.formats.dior import DIOR_CLASSES
from lcageo.palette import PALETTE, class_colour
from lcageo.runtime.catalog import find_card


def test_each_of_dior_s_classes_has_a_colour_of_its_own() -> None:
    colours = [class_colour(label) for label in range(len(DIOR_CLASSES))]
    apart = [max(abs(a - b) for a, b in zip(one, other, strict=True)) for one, other in combinations(colours, 2)]
    assert min(apart) >= 25


def seen_by_all(colours: np.ndarray) -> list[np.ndarray]:
    """L*a*b* of (N, 3) colours, 0 to 255, for usual sight, and for eyes without red and without green receptors."""
    # Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB; CIE L*a*b* distances (2.3 is just noticeable).
    without_red = np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    )
    without_green = np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    )
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return [cielab((linear @ sight.T).clip(0, 1)) for sight in (np.eye(3), without_red, without_green)]


def test_the_first_ten_colours_differ_for_the_colour_blind() -> None:
    for seen in seen_by_all(np.array([class_colour(label) for label in range(10)])):
        assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 10


def test_the_first_ten_colours_differ_from_concrete_and_asphalt_and_that_of_vehicles_for_everybody() -> None:
    greys = seen_by_all(np.repeat(np.arange(90, 200, 5)[:, None], 3, axis=1))
    colours = seen_by_all(np.array([class_colour(label) for label in range(10)]))
    assert min(np.linalg.norm(greys[0] - colour, axis=1).min() for colour in colours[0]) > 20
    vehicle = find_card("lca-s").classes.index("vehicle")
    for seen, ground in zip(colours, greys, strict=True):
        assert np.linalg.norm(ground - seen[vehicle], axis=1).min() > 15


def cielab(linear: np.ndarray) -> np.ndarray:
    """(N, 3) linear sRGB -> (N, 3) L*a*b* at D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    share = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_more_classes_than_colours_start_again() -> None:
    assert class_colour(len(PALETTE)) == class_colour(0) != class_colour(len(PALETTE) - 1)
