"""The port of the demo scene: quays and jetties with ships, a marina, ships at sea, and the tank farm."""

from __future__ import annotations

import numpy as np

from demo_scene import ground, street
from demo_scene import objects as draw
from demo_scene.canvas import WATER, Canvas
from demo_scene.ground import Rect
from demo_scene.patch import BOX_COLOURS, Patch, tint


def port(canvas: Canvas, rect: Rect) -> None:
    """A quay (the rectangle's left edge) with two jetties, container stacks and sheds, and ships alongside."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.YARD)
    for at in (0.2, 0.72):
        jetty(canvas, Rect(rect.x - 225, rect.y + at * rect.height, 235, 34))
    kinds = ("container", "bulk", "tanker", "ferry")
    for y in np.arange(rect.y + 0.2 * rect.height + 110, rect.y + 0.72 * rect.height - 62, 128):
        moor(canvas, rect.x, y, float(rng.uniform(95, 120)), kinds[rng.integers(4)], 90.0, -1)
    for x in np.arange(rect.x + 45, rect.x + 120, 30):
        for y in np.arange(rect.y + 30, rect.y + rect.height - 60, 44):
            if rng.random() < 0.75:
                container_stack(canvas, x, y)
    lines = [[(rect.x + at, rect.y + 5), (rect.x + at, rect.y + rect.height - 5)] for at in (12, 30)]
    canvas.fill(lines, ground.JOINT, line_m=0.6, opacity=0.8)  # the rails of the cranes
    for index, y in enumerate(np.arange(rect.y + 60, rect.y + rect.height - 50, 95)):
        canvas.stamp(street.shed(canvas.at(rect.x + 185, y, 90), 78, 44 - 8 * (index % 2), 12, rng))
    lane = np.array([(rect.x + 140, rect.y + 8), (rect.x + 140, rect.y + rect.height - 8)])
    ground.traffic(canvas, lane, 9, 45, trucks=0.7)


def jetty(canvas: Canvas, rect: Rect) -> None:
    """A wide pier of concrete with ships on both sides."""
    rng = canvas.rng
    canvas.fill([rect.corners() + (-2.5, -2.5)], ground.STAIN, opacity=0.6, only=WATER)  # its shadow
    canvas.fill([rect.corners()], ground.YARD)
    canvas.fill([rect.corners(3)], ground.CONCRETE)
    for side, y in ((-1, rect.y), (1, rect.y + rect.height)):
        x = rect.x + 4
        while True:
            length = float(rng.uniform(50, 115))
            if x + length > rect.x + rect.width - 12:
                break
            kind = ("container", "bulk", "tanker", "ferry")[rng.integers(4)]
            moor(canvas, x + length / 2, y, length, kind, rng.choice((0.0, 180.0)), side)
            x += length + 12
    for x in np.arange(rect.x + 14, rect.x + rect.width - 30, 40):
        if rng.random() < 0.5:
            canvas.stamp(street.shed(canvas.at(x + 10, rect.y + rect.height / 2), 26, 10, 7, rng))


def moor(canvas: Canvas, x: float, y: float, length: float, kind: str, heading: float, side: int) -> None:
    """Lay a ship alongside a point of a quay: `side` is the side where the water is."""
    beam = length * (0.15 if length > 60 else 0.24)
    off = side * (beam / 2 + 1.5)
    place = canvas.at(x + off * (heading == 90), y + off * (heading != 90), heading)
    canvas.stamp(draw.ship(place, length, kind, canvas.rng), "ship", on=WATER)


def container_stack(canvas: Canvas, x: float, y: float) -> None:
    rng = canvas.rng
    patch = Patch(canvas.at(x, y, 90), 38, 20, margin_m=9)
    for row in np.arange(-9, 8, 2.7):
        for at in (-19.0, -6.3, 6.4):
            if rng.random() < 0.85:
                colour = tint(BOX_COLOURS[rng.integers(len(BOX_COLOURS))], rng.uniform(0.85, 1.1))
                patch.rect(at, row, at + 12.2, row + 2.45, colour, base_m=0.0, top_m=2.6 * int(rng.integers(1, 4)))
    canvas.stamp(patch)


def ships_at_sea(canvas: Canvas, rect: Rect, count: int) -> None:
    """Ships under way or at anchor, kept apart by trying positions until one is free."""
    rng = canvas.rng
    kinds = ("container", "bulk", "tanker", "ferry", "boat", "boat")
    for _ in range(count):
        kind = kinds[rng.integers(len(kinds))]
        length = float(rng.uniform(20, 34) if kind == "boat" else rng.uniform(55, 120))
        for _ in range(12):
            x, y = rng.random(2) * (rect.width, rect.height) + (rect.x, rect.y)
            heading = rng.normal(*((80, 25) if rng.random() < 0.5 else (260, 25)))
            if not _open_water(canvas, x, y, length / 2 + 14):
                continue
            if rng.random() < 0.55:
                wake(canvas, x, y, heading, length)
            if canvas.stamp(draw.ship(canvas.at(x, y, heading), length, kind, rng), "ship", on=WATER):
                break


def _open_water(canvas: Canvas, x: float, y: float, reach_m: float) -> bool:
    """Whether a square around a point is in the scene and contains only water."""
    middle, reach = canvas.to_px([(x, y)])[0], reach_m / canvas.gsd_m
    (left, top), (right, bottom) = (middle - reach).astype(int).tolist(), (middle + reach).astype(int).tolist()
    inside = min(left, top) >= 0 and max(right, bottom) <= canvas.size
    return inside and bool(np.all(canvas.used[top:bottom, left:right] == WATER))


def wake(canvas: Canvas, x: float, y: float, heading: float, length: float) -> None:
    """Churned water behind the stern and two thin bow waves."""
    angle = np.deg2rad(heading)
    ahead, right = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    stern, bow = (x, y) - ahead * length * 0.46, (x, y) + ahead * length * 0.4
    half = 0.05 * length + 1
    tail = np.array([stern + right * half, stern - right * half, stern - ahead * length * 1.2])
    canvas.fill([tail], ground.FOAM, soft_m=1.6, opacity=0.35, only=WATER)
    waves = [np.array([bow, bow - ahead * length * 1.0 + right * side * length * 0.22]) for side in (-1, 1)]
    canvas.fill(waves, ground.FOAM, line_m=1.6, soft_m=1.6, opacity=0.3, only=WATER)


def marina(canvas: Canvas, rect: Rect) -> None:
    """A basin with piers."""
    canvas.fill([rect.corners()], ground.BASIN)
    piers(canvas, rect)


def piers(canvas: Canvas, rect: Rect) -> None:
    """A quay along the right-hand side and finger piers that start from it; the water must be there."""
    rng = canvas.rng
    quay = rect.part(rect.width - 14, 0, 14, rect.height)
    canvas.fill([quay.corners()], ground.PAVING)
    for y in np.arange(rect.y + 20, rect.y + rect.height - 14, 41.0):
        length = float(min(rng.uniform(52, 92), rect.width - 40))
        if length > 30:
            place = canvas.at(quay.x - length / 2 - 0.5, y, 180)
            canvas.stamp(draw.harbor_pier(place, length, rng), "harbor", on=WATER)


def tank_farm(canvas: Canvas, rect: Rect) -> None:
    """Tanks in bunded squares with service roads between them."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.YARD)
    y = rect.y + 4
    while y + 30 < rect.y + rect.height:
        depth = float(min(rng.choice((36.0, 46.0, 64.0)), rect.y + rect.height - y - 3))
        x = rect.x + 4
        while x + depth < rect.x + rect.width:
            square = Rect(x, y, depth, depth)
            canvas.fill([square.corners()], ground.PAVING)
            canvas.fill([square.corners(1.2)], ground.GRASS if rng.random() < 0.3 else ground.BUND, soft_m=0.5)
            _tanks_in(canvas, square)
            x += depth + 5
        y += depth + 8


def _tanks_in(canvas: Canvas, square: Rect) -> None:
    """One large tank, or four small ones."""
    rng, side = canvas.rng, square.width
    if side > 40 and rng.random() < 0.25:
        for dx, dy in ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)):
            place = canvas.at(square.x + dx * side, square.y + dy * side)
            canvas.stamp(draw.tank(place, side * rng.uniform(0.27, 0.33), False, rng), "storage tank")
        return
    place = canvas.at(square.x + side / 2, square.y + side / 2, rng.uniform(0, 360))
    canvas.stamp(
        draw.tank(place, min(50.0, side * rng.uniform(0.62, 0.76)), bool(rng.random() < 0.35), rng), "storage tank"
    )
    canvas.fill(
        [[(square.x + side / 2, square.y), (square.x + side / 2, square.y + side * 0.14)]],
        ground.WHITE_PAINT,
        line_m=0.8,
    )
