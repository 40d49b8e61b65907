"""The airport of the demo scene: runway, taxiways, aprons with aircraft, terminal."""

from __future__ import annotations

import numpy as np

from demo_scene import ground, street
from demo_scene import objects as draw
from demo_scene.canvas import OPEN, PAVED, Canvas
from demo_scene.ground import Rect
from demo_scene.patch import circle


def airport(canvas: Canvas, rect: Rect) -> None:
    """Runway and taxiway along the top of the rectangle, aprons and buildings below."""
    canvas.fill([rect.corners()], ground.GRASS, soft_m=3)
    runway(canvas, rect.part(50, 50, rect.width, 45))
    taxiway = np.array([(rect.x + 60, rect.y + 190), (rect.x + rect.width, rect.y + 190)])
    links = [np.array([(rect.x + at, rect.y + 72), (rect.x + at + lean, rect.y + 190)])
             for at, lean in ((70, 0), (420, 90), (800, -90), (1150, 0))]  # fmt: skip
    stubs = [np.array([(rect.x + at, rect.y + 190), (rect.x + at, rect.y + 240)]) for at in (150, 520, 900)]
    canvas.fill([taxiway, *links, *stubs], ground.OLD_ASPHALT, line_m=22)
    canvas.fill([taxiway, *links, *stubs], ground.YELLOW_PAINT, line_m=0.4, opacity=0.8)
    canvas.fill([rect.part(90, 405, 640, 70).corners(), rect.part(770, 380, 330, 75).corners()], ground.PAVING)
    apron(canvas, rect.part(90, 230, 640, 188), gates=True)
    apron(canvas, rect.part(770, 230, 330, 150), longest_m=30)
    for x, length, width in ((0.32, 400, 32), (0.82, 150, 28)):
        canvas.stamp(street.shed(canvas.at(rect.x + 90 + x * 640, rect.y + 447), length, width, 14, canvas.rng))
    for x in np.arange(rect.x + 810, rect.x + 1090, 82):
        canvas.stamp(street.shed(canvas.at(x, rect.y + 417), 66, 50, 16, canvas.rng))
    for at, y, heading in ((330, 190, 180), (700, 190, 180), (1010, 190, 180), (85, 110, -90), (260, 72, 0)):
        kind = list(draw.AIRPLANES.values())[int(canvas.rng.integers(4))]
        canvas.stamp(
            draw.airplane(canvas.at(rect.x + at, rect.y + y, heading), kind, canvas.rng), "airplane", on=PAVED | OPEN
        )
    ground.car_park(canvas, rect.part(110, 482, 230, 45))
    ground.car_park(canvas, rect.part(460, 482, 180, 45))


def runway(canvas: Canvas, rect: Rect) -> None:
    """A runway with its western threshold inside the scene."""
    middle = rect.y + rect.height / 2
    canvas.fill([rect.corners(-7)], ground.OLD_ASPHALT, soft_m=0.8)
    canvas.fill([rect.corners()], ground.ASPHALT)
    rubber = [[(rect.x + 180, middle + side), (rect.x + 620, middle + side)] for side in (-3.5, 3.5)]
    canvas.fill(rubber, ground.STAIN, line_m=5, soft_m=2.5, opacity=0.5)
    bars = [rect.part(12, side, 30, 1.9).corners() for side in np.arange(3.5, 41, 3.6) if abs(side - 21.5) > 2]
    blocks = [rect.part(at, 22.5 + side * reach - 2, 22, 4).corners()
              for at, reach in ((150, 9), (300, 10), (450, 9), (600, 9)) for side in (-1, 1)]  # fmt: skip
    aim = [rect.part(300, 22.5 + side * 10 - 4, 46, 8).corners() for side in (-1, 1)]
    number = [rect.part(52 + x, 22.5 + y, w, h).corners()  # "09", read along the runway
              for x, y, w, h in ((0, -9, 12, 1.5), (0, -4, 12, 1.5), (0, -9, 1.5, 6), (10.5, -9, 1.5, 6),
                                 (0, 3, 1.5, 6), (5, 3, 1.5, 6), (5, 3, 7, 1.5), (0, 7.5, 12, 1.5),
                                 (10.5, 3, 1.5, 6))]  # fmt: skip
    edges = [[(rect.x, rect.y + at), (rect.x + rect.width, rect.y + at)] for at in (1.5, rect.height - 1.5)]
    centre = ground.dashes(np.array([(rect.x + 80, middle), (rect.x + rect.width, middle)]), 30, 20)
    canvas.fill([*bars, *blocks, *aim, *number], ground.WHITE_PAINT, opacity=0.85)
    canvas.fill([*edges, *centre], ground.WHITE_PAINT, line_m=0.9, opacity=0.8)


def apron(canvas: Canvas, rect: Rect, longest_m: float = 65.0, gates: bool = False) -> None:
    """Concrete slabs with rows of parked aircraft; those of the last row stand nose in, at `gates` with jet bridges."""
    _slabs(canvas, rect)
    y, bottom = rect.y, rect.y + rect.height
    while bottom - y > 40:
        longest = min(bottom - y - 18, longest_m, 0.4 * rect.height)
        last = bottom - y < longest + 66
        bound = longest if last else min(42.0, longest)
        kinds = [kind for kind in draw.AIRPLANES.values() if 0.5 * bound <= kind.length <= bound]
        depth = bottom - y if last else bound + 16
        heading = 90.0 if last else float(canvas.rng.choice((-60.0, -120.0)))
        _parking_row(canvas, Rect(rect.x, y, rect.width, depth), kinds, heading, gates and last)
        y += depth


def _slabs(canvas: Canvas, rect: Rect) -> None:
    """Concrete with joints, slabs of other tones and oil stains."""
    rng, size = canvas.rng, (rect.width, rect.height)
    canvas.fill([rect.corners()], ground.CONCRETE)
    for tone in (ground.STAIN, ground.WHITE_PAINT):
        spots = np.floor(rng.random((int(rect.width * rect.height / 1500), 2)) * size / 7.5) * 7.5
        sizes = rng.integers(1, 5, spots.shape) * 7.5
        rooms = [rect.part(*spot, *np.minimum(room, size - spot)) for spot, room in zip(spots, sizes, strict=True)]
        canvas.fill([room.corners() for room in rooms], tone, opacity=0.09)
    joints = [[(rect.x + at, rect.y), (rect.x + at, rect.y + rect.height)] for at in np.arange(7.5, rect.width, 7.5)]
    joints += [[(rect.x, rect.y + at), (rect.x + rect.width, rect.y + at)] for at in np.arange(7.5, rect.height, 7.5)]
    canvas.fill(joints, ground.JOINT, line_m=0.25, opacity=0.4)
    for x, y in rng.random((int(rect.width * rect.height / 800), 2)) * size:
        spot = circle(rng.uniform(1, 4), count=12) * (rng.uniform(0.6, 2.5), 1) + (rect.x + x, rect.y + y)
        canvas.fill([spot], ground.STAIN, soft_m=1.5, opacity=rng.uniform(0.05, 0.3))


def _parking_row(canvas: Canvas, rect: Rect, kinds: list[draw.AirplaneKind], heading: float, gates: bool) -> None:
    """One row of aircraft from left to right: nose in at the row's lower end, or aslant below the taxi lane."""
    rng, x, lane_y = canvas.rng, rect.x + 4, rect.y + 5
    lane = [(rect.x, lane_y), (rect.x + rect.width, lane_y)]
    canvas.fill([lane], ground.YELLOW_PAINT, line_m=0.4, opacity=0.7)
    while kinds:
        kind = kinds[rng.integers(len(kinds))]
        if x + kind.span + 4 > rect.x + rect.width:
            break
        middle = x + kind.span / 2 + 2, rect.y + 12 + kind.length / 2
        if heading == 90:
            middle = middle[0], rect.y + rect.height - 7 - kind.length / 2
        canvas.fill(
            [[(middle[0], lane_y), (middle[0], middle[1] + kind.length / 2)]],
            ground.YELLOW_PAINT,
            line_m=0.4,
            opacity=0.7,
        )
        if gates:
            bridge = canvas.at(middle[0] + 6.5, rect.y + rect.height + 3, 84)
            canvas.stamp(street.shed(bridge, 17.5, 3.4, 5, rng))
        if rng.random() < 0.8:
            canvas.stamp(draw.airplane(canvas.at(*middle, heading + rng.normal(0, 2)), kind, rng), "airplane", on=PAVED)
            service(canvas, *middle, kind.length)
        x += kind.span * (1.0 if heading == 90 else 1.12) + 10


def service(canvas: Canvas, x: float, y: float, length: float) -> None:
    """A few vehicles around a parked aircraft."""
    rng = canvas.rng
    for _ in range(int(rng.integers(0, 4)) if length > 25 else 0):
        side = rng.choice((-1, 1)) * rng.uniform(0.12, 0.3) * length
        place = canvas.at(x + side, y + rng.uniform(0.1, 0.45) * length, rng.choice((0, 90, 180, 45)))
        canvas.stamp(street.vehicle(place, bool(length > 33 and rng.random() < 0.4), rng), "vehicle", on=PAVED)
