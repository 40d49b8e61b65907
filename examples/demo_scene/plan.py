"""Layout of the sites in the demo scene.

A site is a function of a canvas and a rectangle in plan metres; it fills the rectangle with as much as fits. The full
plan is 2 km wide, with the sea in the west; compact scenes are a quilt of square sites.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from demo_scene import airport, ground, port, street, town
from demo_scene import objects as draw
from demo_scene.canvas import Canvas
from demo_scene.ground import Rect
from demo_scene.patch import Points

Site = Callable[[Canvas, Rect], None]


def paint_compact(canvas: Canvas) -> None:
    """A quilt of square sites, for scenes too small for the full plan."""
    extent = canvas.size * canvas.gsd_m
    canvas.trees = street.trees(canvas.gsd_m, 40, canvas.rng)
    canvas.fill([Rect(0, 0, extent, extent).corners(-5)], ground.GRASS)
    cell = 126.0 if extent < 300 else 165.0 if extent < 700 else 204.0
    kinds: tuple[Site, ...] = (
        airport.apron, port.tank_farm, town.courts, town.diamond, port.marina, town.stadium, ground.car_park, town.town,
    )  # fmt: skip
    count = max(1, int(extent // cell))
    pitch = extent / count
    for index in range(count * count):
        row, column = divmod(index, count)
        kinds[index % len(kinds)](canvas, Rect(column * pitch + 6, row * pitch + 6, pitch - 12, pitch - 12))
    ground.trees_at_random(canvas, Rect(0, 0, extent, extent), 10)


def paint_full(canvas: Canvas) -> None:
    """The whole plan, drawn from the ground up: land, water, sites, roads, bridges, traffic, trees."""
    extent, rng = canvas.size * canvas.gsd_m, canvas.rng
    margin = 0.12 * extent  # the plan is rotated, so it must extend beyond the scene's corners
    canvas.trees = street.trees(canvas.gsd_m, 40, rng)
    ground.countryside(canvas, Rect(-margin, -margin, extent + 2 * margin, extent + 2 * margin))
    river, shore = _river(extent + margin), _shore(canvas, -margin, extent + margin)
    canvas.fill([river], ground.ROCK, line_m=58, soft_m=4, ragged=True)
    canvas.fill([river], ground.RIVER, line_m=48, soft_m=1.5)
    ground.sea(canvas, *shore, -margin * 2)
    canvas.fill([Rect(486, 700, 72, 500).corners()], ground.ROUGH, soft_m=2)
    port.port(canvas, Rect(470, 130, 230, 620))
    port.piers(canvas, Rect(330, 800, 170, 350))
    port.tank_farm(canvas, Rect(560, 800, 280, 326))
    airport.airport(canvas, Rect(790, 40, extent + margin - 790, 590))
    _sports(canvas)
    town.town(canvas, Rect(1560, 760, 560, 370))
    town.town(canvas, Rect(1020, 1450, 420, 250))
    _roads(canvas, river, extent + margin)
    port.ships_at_sea(canvas, Rect(-40, 20, 430, extent - 60), 26)
    for wood in (
        Rect(1570, 1430, 240, 240),
        Rect(640, 1740, 210, 220),
        Rect(1880, 1480, 300, 420),
        Rect(1120, 1800, 340, 180),
    ):
        ground.forest(canvas, wood)
    ground.trees_at_random(canvas, Rect(500, 0, extent + margin - 500, extent + margin), 3)


def _shore(canvas: Canvas, top: float, bottom: float) -> tuple[Points, NDArray[np.bool_]]:
    """The coast from north to south, and where it is built: it runs straight along the port and the marina."""
    y = np.arange(top, bottom, 12.0)
    wave = 26 * np.sin(y / 140) + 16 * np.sin(y / 61 + 1) + np.cumsum(canvas.rng.normal(0, 1.6, len(y)))
    built = np.clip(np.minimum(y - 60, 1200 - y) / 60, 0, 1)
    return np.stack([(1 - built) * (470 + wave) + built * 486, y], axis=1), built > 0.9


def _river(right: float) -> Points:
    x = np.arange(440.0, right + 20, 15.0)
    return np.stack([x, 1290 + 38 * np.sin(x / 210) + 14 * np.sin(x / 77)], axis=1)


def _sports(canvas: Canvas) -> None:
    canvas.fill([Rect(905, 745, 620, 405).corners()], ground.LAWN, soft_m=5, ragged=True)
    paths = [
        [(905, 890), (1215, 890), (1215, 750)],
        [(1060, 890), (1060, 1150)],
        [(1375, 900), (1375, 1040), (1535, 1060)],
    ]
    canvas.fill(paths, ground.PAVING, line_m=3.5, soft_m=0.4)
    town.courts(canvas, Rect(920, 770, 220, 110))
    town.stadium(canvas, Rect(920, 900, 130, 220))
    town.diamond(canvas, Rect(1070, 900, 130, 130))
    town.stadium(canvas, Rect(1220, 770, 200, 125))
    town.diamond(canvas, Rect(1220, 920, 140, 140))
    town.diamond(canvas, Rect(1390, 920, 120, 120))
    town.courts(canvas, Rect(1080, 1074, 280, 72))
    ground.car_park(canvas, Rect(1440, 775, 90, 110))
    town.diamond(canvas, Rect(896, 1445, 112, 112))
    town.stadium(canvas, Rect(640, 1440, 220, 130))
    town.courts(canvas, Rect(660, 1600, 200, 90))


def _roads(canvas: Canvas, river: Points, right: float) -> None:
    """Main roads with their traffic, and a bridge where one crosses the river."""
    highway = np.array([(705.0, 690.0), (880.0, 700.0), (1300.0, 690.0), (right, 720.0)])
    south = [
        np.array([(x, 700.0), (x, 1100.0), (x + bend, 1290.0), (x + bend, right)])
        for x, bend in ((880.0, 0.0), (1535.0, 0.0))
    ]
    coast = np.array([(532.0, 780.0), (532.0, 1160.0), (590.0, 1260.0), (590.0, 1420.0), (560.0, right)])
    farm = np.array([(590.0, 1410.0), (1000.0, 1420.0), (1500.0, 1385.0), (right, 1400.0)])
    widths = ((highway, 15.0), (south[0], 9.0), (south[1], 9.0), (coast, 8.0), (farm, 7.5))
    for line, width in widths:
        ground.road(canvas, line, width, ground.ROUGH if width > 10 else ground.SOIL)
    for x, width in ((590.0, 12.0), (880.0, 13.0), (1535.0, 13.0)):
        y = float(np.interp(x, river[:, 0], river[:, 1]))
        span = 62.0 + 20
        canvas.stamp(draw.bridge(canvas.at(x, y, 90), span, width), "bridge", occupies=False)
    for line, width in widths:
        ground.traffic(canvas, line, width, 75 if width > 10 else 95)
