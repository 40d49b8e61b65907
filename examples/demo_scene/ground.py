"""The ground of the demo scene: its materials, farm land, woods and water, roads and their traffic.

Lines and rectangles are in plan metres, x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo_scene import street
from demo_scene.canvas import OPEN, PAVED, WATER, Canvas, Material
from demo_scene.patch import Colour, Points

GRASS = Material((66, 78, 50), (100, 106, 68), 0.07, OPEN)
ROUGH = Material((70, 80, 50), (98, 100, 66), 0.09)
LAWN = Material((58, 80, 46), (76, 96, 54), 0.06)
MOWN = Material((56, 80, 48), (72, 94, 56), 0.05, OPEN, rows_m=7.0)
MEADOW = Material((76, 86, 54), (118, 114, 74), 0.09)
WOOD_FLOOR = Material((40, 52, 34), (54, 64, 40), 0.12)
SOIL = Material((124, 110, 88), (152, 138, 112), 0.07)
SAND = Material((186, 172, 140), (206, 194, 164), 0.05)
ROCK = Material((104, 100, 94), (146, 140, 130), 0.22)
ASPHALT = Material((94, 95, 97), (114, 114, 113), 0.035, PAVED)
OLD_ASPHALT = Material((118, 117, 114), (138, 136, 130), 0.045, PAVED)
CONCRETE = Material((150, 148, 141), (172, 169, 160), 0.035, PAVED)
YARD = Material((134, 131, 124), (160, 155, 145), 0.06, PAVED)
PAVING = Material((158, 154, 146), (174, 170, 160), 0.05, PAVED)
BUND = Material((126, 118, 96), (150, 142, 118), 0.07, PAVED)
WHITE_PAINT = Material((198, 199, 194), (218, 219, 214), 0.04, PAVED)
YELLOW_PAINT = Material((186, 160, 72), (198, 172, 84), 0.04, PAVED)
JOINT = Material((112, 110, 106), (128, 126, 120), 0.04, PAVED)
STAIN = Material((58, 57, 56), (74, 72, 70), 0.05)
SEA = Material((27, 47, 58), (33, 56, 66), 0.035, WATER, ripples=0.05)
SHALLOWS = Material((58, 88, 84), (80, 104, 92), 0.04, WATER, ripples=0.04)
BASIN = Material((30, 47, 46), (37, 55, 52), 0.035, WATER, ripples=0.025)
RIVER = Material((44, 58, 50), (54, 66, 54), 0.04, WATER, ripples=0.02)
FOAM = Material((176, 186, 182), (206, 212, 206), 0.1, WATER)
POOL = Material((92, 156, 176), (110, 172, 186), 0.03, OPEN)
CROPS = (
    Material((62, 82, 44), (76, 94, 52), 0.05, rows_m=2.4), Material((86, 100, 54), (104, 114, 64), 0.05, rows_m=3.2),
    Material((152, 138, 98), (174, 158, 114), 0.05, rows_m=4.5),
    Material((112, 92, 72), (134, 112, 88), 0.06, rows_m=2.8),
    Material((124, 122, 82), (146, 140, 96), 0.05, rows_m=3.6), Material((50, 70, 40), (62, 82, 46), 0.06, rows_m=2.6),
    Material((92, 104, 62), (110, 116, 72), 0.08), Material((138, 120, 92), (160, 142, 110), 0.05, rows_m=6.0),
)  # fmt: skip
ROOFS: tuple[Colour, ...] = (
    (142, 84, 62), (150, 96, 74), (126, 78, 62), (104, 100, 98), (86, 84, 86), (128, 116, 102), (150, 140, 126),
)  # fmt: skip
DIRTS: tuple[Colour, ...] = ((186, 150, 108), (166, 122, 90), (196, 168, 128))
TRACK_PAINTS: tuple[Colour, ...] = ((152, 76, 60), (138, 66, 58), (160, 88, 68))


@dataclass(frozen=True, slots=True)
class Rect:
    """A site's ground in plan metres, x to the right and y down."""

    x: float
    y: float
    width: float
    height: float

    def corners(self, inset: float = 0.0) -> Points:
        x1, y1, x2, y2 = self.x + inset, self.y + inset, self.x + self.width - inset, self.y + self.height - inset
        return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])

    def part(self, x: float, y: float, width: float, height: float) -> Rect:
        """A rectangle at an offset inside this one."""
        return Rect(self.x + x, self.y + y, width, height)


def countryside(canvas: Canvas, rect: Rect) -> None:
    """Meadow under a quilt of fields with tracks and hedges between them."""
    rng = canvas.rng
    canvas.fill([rect.corners()], MEADOW)
    y = rect.y
    while y < rect.y + rect.height:
        depth, x = rng.uniform(110, 220), rect.x - rng.uniform(0, 120)
        while x < rect.x + rect.width:
            width = rng.uniform(90, 260)
            corners = Rect(x, y, width, depth).corners(rng.uniform(2, 4)) + rng.uniform(-5, 5, (4, 2))
            if rng.random() < 0.9:
                crop, along = CROPS[rng.integers(len(CROPS))], (0.0, 90.0)[int(rng.integers(2))]
                canvas.fill([corners], crop, rows_deg=along + rng.uniform(-3, 3))
            if rng.random() < 0.3:
                hedge(canvas, corners[:2])
            if rng.random() < 0.25:
                hedge(canvas, corners[1:3])
            x += width
        canvas.fill([[(rect.x, y), (rect.x + rect.width, y + rng.uniform(-6, 6))]], SOIL, line_m=3.0, soft_m=0.6)
        y += depth


def hedge(canvas: Canvas, line: Points) -> None:
    start, end = line
    steps = int(np.hypot(*(end - start)) / 5.5)
    for share in np.linspace(0, 1, steps):
        if canvas.rng.random() < 0.7:
            x, y = start + share * (end - start) + canvas.rng.normal(0, 1.0, 2)
            plant(canvas, x, y, largest=0.6)


def plant(canvas: Canvas, x: float, y: float, largest: float = 1.0) -> None:
    """Put one tree on free ground; `largest` limits its size as a share of the largest tree."""
    if canvas.is_free(x, y, margin_m=2.0):
        trees = canvas.trees
        keep, paint = trees[int(canvas.rng.integers(max(1, int(len(trees) * largest))))]
        place = canvas.at(x, y)
        canvas.lay(keep, paint, int(place.x_px) - keep.shape[1] // 2, int(place.y_px) - keep.shape[0] // 2)


def trees_at_random(canvas: Canvas, rect: Rect, per_hectare: float, largest: float = 1.0) -> None:
    count = int(rect.width * rect.height / 10_000 * per_hectare)
    for x, y in canvas.rng.random((count, 2)) * (rect.width, rect.height) + (rect.x, rect.y):
        plant(canvas, x, y, largest)


def forest(canvas: Canvas, rect: Rect) -> None:
    """A wood with an irregular border: trees in a jittered grid on a dark floor."""
    rng, middle = canvas.rng, np.array([rect.x + rect.width / 2, rect.y + rect.height / 2])
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wobble = 1 + 0.16 * np.sin(2 * angles + rng.uniform(0, 6)) + 0.1 * np.sin(5 * angles + rng.uniform(0, 6))
    square = np.minimum(1.25, 1 / np.maximum(np.abs(np.cos(angles)), np.abs(np.sin(angles))))
    outline = np.stack([np.cos(angles), np.sin(angles)], 1) * (wobble * square * 0.82)[:, None]
    border = middle + outline * (rect.width / 2, rect.height / 2)
    canvas.fill([border], WOOD_FLOOR, soft_m=3, ragged=True)
    grid = np.mgrid[0 : rect.width : 4.6, 0 : rect.height : 4.6].reshape(2, -1).T + (rect.x, rect.y)  # (N, 2)
    offset = (grid - middle) / (rect.width / 2, rect.height / 2)
    reach = np.interp(np.arctan2(offset[:, 1], offset[:, 0]), angles, np.hypot(*outline.T), period=2 * np.pi)
    for x, y in (grid + rng.normal(0, 1.2, grid.shape))[np.hypot(*offset.T) < reach]:
        plant(canvas, x, y)


def sea(canvas: Canvas, shore: Points, built: NDArray[np.bool_], corner_x: float) -> None:
    """Water between a shore line, north to south, and the western edge; where nothing is built, a beach and foam."""
    water = np.concatenate([shore, [(corner_x, shore[-1, 1]), (corner_x, shore[0, 1])]])
    edges = np.flatnonzero(np.diff(built)) + 1
    parts = zip(np.split(shore, edges), built[[0, *edges]], strict=True)
    beaches = [part for part, is_built in parts if not is_built and len(part) > 1]
    canvas.fill([beach + (6, 0) for beach in beaches], SAND, line_m=30, soft_m=5, ragged=True)
    canvas.fill([water], SEA)
    canvas.fill([beach - (10, 0) for beach in beaches], SHALLOWS, line_m=70, soft_m=18, only=WATER)
    surf = [beach - (2, 0) for beach in beaches]
    canvas.fill(surf, FOAM, line_m=2.2, soft_m=1.4, ragged=True, opacity=0.6, only=WATER)


def dashes(line: Points, dash_m: float, gap_m: float, side_m: float = 0.0) -> list[Points]:
    """Lane marks: pieces of a line, shifted sideways."""
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    starts = np.arange(0, lengths[-1] - dash_m, dash_m + gap_m)
    return [np.stack([along(line, lengths, at + step, side_m)[0] for step in (0, dash_m)]) for at in starts]


def along(line: Points, lengths: NDArray[np.float64], at: float, side_m: float) -> tuple[Points, float]:
    """The point at a distance along a line and to its right, and the direction there in degrees."""
    index = int(np.clip(np.searchsorted(lengths, at, side="right") - 1, 0, len(line) - 2))
    step = line[index + 1] - line[index]
    unit = step / np.hypot(*step)
    point = line[index] + unit * (at - lengths[index]) + np.array([-unit[1], unit[0]]) * side_m
    return point, float(np.rad2deg(np.arctan2(unit[1], unit[0])))


def road(canvas: Canvas, line: Points, width: float = 8.0, verge: Material = PAVING) -> None:
    """An asphalt road with pavements, edge lines and lane marks."""
    canvas.fill([line], verge, line_m=width + 4, soft_m=0.4 if verge.takes & PAVED else 1.0)
    canvas.fill([line], ASPHALT if width > 7 else OLD_ASPHALT, line_m=width)
    lanes = max(2, int(width / 3.5))
    for lane in range(1, lanes):
        side = (lane - lanes / 2) * width / lanes
        middle = lane * 2 == lanes
        marks = dashes(line, 40, 0.0, side) if middle and lanes > 2 else dashes(line, 4, 6, side)
        if marks:
            canvas.fill(marks, WHITE_PAINT, line_m=0.3, opacity=0.75)


def traffic(canvas: Canvas, line: Points, width: float, spacing_m: float, trucks: float = 0.12) -> None:
    """Vehicles in both directions, in the middle of their lanes."""
    rng, lengths = canvas.rng, np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    lanes = max(1, int(width / 7))
    for lane in range(2 * lanes):
        side, back = (lane - lanes + 0.5) * width / lanes / 2, 180.0 * (lane < lanes)
        at = rng.exponential(spacing_m)
        while at < lengths[-1]:
            (x, y), heading = along(line, lengths, at, side + rng.normal(0, 0.2))
            canvas.stamp(
                street.vehicle(canvas.at(x, y, heading + back), bool(rng.random() < trucks), rng), "vehicle", on=PAVED
            )
            at += 9 + rng.exponential(spacing_m)


def car_park(canvas: Canvas, rect: Rect) -> None:
    """Double rows of bays, about two thirds of them occupied."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ASPHALT)
    for y in np.arange(rect.y + 3, rect.y + rect.height - 11, 17.0):
        bays = np.arange(rect.x + 3, rect.x + rect.width - 3, 2.7)
        canvas.fill([[(x, y), (x, y + 10.4)] for x in bays], WHITE_PAINT, line_m=0.2, opacity=0.6)
        for x in bays[:-1]:
            for depth, heading in ((2.6, 90), (7.8, -90)):
                if rng.random() < 0.5:
                    place = canvas.at(x + 1.35, y + depth, heading + rng.normal(0, 1.5) + 180 * rng.integers(2))
                    canvas.stamp(street.vehicle(place, False, rng), "vehicle", on=PAVED)
