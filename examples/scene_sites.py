"""The sites of the demo scene and the plans that place them.

A site is a function of a canvas and a rectangle in plan metres; it puts as much into the rectangle as fits. The full
plan is 2 km wide, with the sea in the west; compact scenes are a quilt of square sites.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scene_ground as ground
import scene_objects as draw
from scene_canvas import PAVED, WATER, Canvas, Points
from scene_ground import Rect

Site = Callable[[Canvas, Rect], None]


# --- airport --------------------------------------------------------------------------------------------------------


def airport(canvas: Canvas, rect: Rect) -> None:
    """Runway and taxiway along the top of the rectangle, aprons and terminal below."""
    canvas.fill([rect.corners()], ground.GRASS, soft_m=3)
    runway(canvas, rect.part(50, 50, rect.width, 45))
    taxiway = np.array([(rect.x + 60, rect.y + 190), (rect.x + rect.width, rect.y + 190)])
    links = [np.array([(rect.x + at, rect.y + 72), (rect.x + at + lean, rect.y + 190)])
             for at, lean in ((70, 0), (420, 90), (800, -90), (1150, 0))]  # fmt: skip
    stubs = [np.array([(rect.x + at, rect.y + 190), (rect.x + at, rect.y + 240)]) for at in (150, 520, 900)]
    canvas.fill([taxiway, *links, *stubs], ground.OLD_ASPHALT, line_m=22)
    canvas.fill([taxiway, *links, *stubs], ground.YELLOW_PAINT, line_m=0.4, opacity=0.8)
    apron(canvas, rect.part(90, 230, 640, 225))
    terminal(canvas, rect.part(90, 415, 640, 60))
    apron(canvas, rect.part(770, 230, 330, 170))
    for index in range(4):
        canvas.stamp(draw.shed(canvas.at(rect.x + 815 + 80 * index, rect.y + 435), 66, 52, 16, canvas.rng))
    canvas.fill([rect.part(770, 400, 330, 65).corners()], ground.CONCRETE, only=0)


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
                                 (0, 3, 1.5, 6), (5, 3, 1.5, 6), (5, 3, 7, 1.5), (0, 7.5, 12, 1.5), (10.5, 3, 1.5, 6))]  # fmt: skip
    edges = [[(rect.x, rect.y + at), (rect.x + rect.width, rect.y + at)] for at in (1.5, rect.height - 1.5)]
    centre = ground.dashes(np.array([(rect.x + 80, middle), (rect.x + rect.width, middle)]), 30, 20)
    canvas.fill([*bars, *blocks, *aim, *number], ground.WHITE_PAINT, opacity=0.85)
    canvas.fill([*edges, *centre], ground.WHITE_PAINT, line_m=0.9, opacity=0.8)


def apron(canvas: Canvas, rect: Rect) -> None:
    """Concrete slabs with taxi lines and rows of parked aircraft; they face down in the last row."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.CONCRETE)
    joints = [[(rect.x + at, rect.y), (rect.x + at, rect.y + rect.height)] for at in np.arange(7.5, rect.width, 7.5)]
    joints += [[(rect.x, rect.y + at), (rect.x + rect.width, rect.y + at)] for at in np.arange(7.5, rect.height, 7.5)]
    canvas.fill(joints, ground.JOINT, line_m=0.25, opacity=0.4)
    for x, y in rng.random((int(rect.width * rect.height / 500), 2)) * (rect.width, rect.height):
        spot = draw.circle(rng.uniform(1, 4)) * (rng.uniform(0.6, 2.5), 1) + (rect.x + x, rect.y + y)
        canvas.fill([spot], ground.STAIN, soft_m=1.5, opacity=rng.uniform(0.05, 0.3))
    y = rect.y
    while rect.y + rect.height - y > 36:
        left = rect.y + rect.height - y
        last = left < 130
        fitting = [kind for kind in draw.AIRPLANES.values() if kind.length < left - 14 and kind.length > 24 - 12 * last]
        kinds = fitting if left < 110 else [kind for kind in fitting if kind.length < 42]
        y += parking_row(canvas, Rect(rect.x, y, rect.width, left), kinds or fitting, 90.0 if last else rng.choice((-62.0, -118.0)))


def parking_row(canvas: Canvas, rect: Rect, kinds: list[draw.AirplaneKind], heading: float) -> float:
    """One row of aircraft from left to right; gives back the depth it takes."""
    rng, x = canvas.rng, rect.x + 4
    depth = max(kind.length for kind in kinds) + 16
    lane = np.array([(rect.x, rect.y + 5), (rect.x + rect.width, rect.y + 5)])
    canvas.fill([lane], ground.YELLOW_PAINT, line_m=0.4, opacity=0.7)
    while kinds:
        kind = kinds[rng.integers(len(kinds))]
        if x + kind.span + 4 > rect.x + rect.width:
            break
        middle = x + kind.span / 2 + 2, rect.y + 11 + kind.length / 2
        lead = np.array([(middle[0], rect.y + 5), (middle[0], middle[1] + kind.length / 2)])
        canvas.fill([lead], ground.YELLOW_PAINT, line_m=0.4, opacity=0.7)
        if rng.random() < 0.88:
            canvas.stamp(draw.airplane(canvas.at(*middle, heading + rng.normal(0, 2)), kind, rng), "airplane", on=PAVED)
            service(canvas, *middle, kind.length)
        x += kind.span * (1.0 if heading == 90 else 1.12) + 9
    return depth


def service(canvas: Canvas, x: float, y: float, length: float) -> None:
    """A few vehicles around a parked aircraft."""
    rng = canvas.rng
    for _ in range(int(rng.integers(0, 4)) if length > 25 else 0):
        side = rng.choice((-1, 1)) * rng.uniform(0.12, 0.3) * length
        place = canvas.at(x + side, y + rng.uniform(0.1, 0.45) * length, rng.choice((0, 90, 180, 45)))
        canvas.stamp(draw.vehicle(place, bool(rng.random() < 0.4), rng), "vehicle", on=PAVED)


def terminal(canvas: Canvas, rect: Rect) -> None:
    """A long building with jet bridges towards the apron above it, a forecourt and a car park below."""
    rng = canvas.rng
    canvas.fill([rect.corners(-6)], ground.PAVING)
    for at in np.arange(40, rect.width - 30, 44.0):
        canvas.stamp(draw.shed(canvas.at(rect.x + at, rect.y + 36, 90), 22, 4.5, 6, rng))
    canvas.stamp(draw.shed(canvas.at(rect.x + rect.width * 0.36, rect.y + 62), rect.width * 0.7, 34, 15, rng))
    canvas.stamp(draw.shed(canvas.at(rect.x + rect.width * 0.84, rect.y + 62), rect.width * 0.2, 26, 11, rng))
    ground.car_park(canvas, rect.part(20, 98, rect.width * 0.45, 62))
    ground.car_park(canvas, rect.part(rect.width * 0.55, 98, rect.width * 0.4, 45))


# --- water side -----------------------------------------------------------------------------------------------------


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
        canvas.stamp(draw.shed(canvas.at(rect.x + 185, y, 90), 78, 44 - 8 * (index % 2), 12, rng))
    lane = np.array([(rect.x + 140, rect.y + 8), (rect.x + 140, rect.y + rect.height - 8)])
    ground.traffic(canvas, lane, 9, 45, trucks=0.7)


def jetty(canvas: Canvas, rect: Rect) -> None:
    """A wide pier of concrete with ships on both sides."""
    rng = canvas.rng
    canvas.fill([rect.corners() + (-2.5, -2.5)], ground.STAIN, opacity=0.6)  # its shadow on the water
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
            canvas.stamp(draw.shed(canvas.at(x + 10, rect.y + rect.height / 2), 26, 10, 7, rng))


def moor(canvas: Canvas, x: float, y: float, length: float, kind: str, heading: float, side: int) -> None:
    """Lay a ship alongside a point of a quay: `side` says on which side of it the water is."""
    beam = length * (0.15 if length > 60 else 0.24)
    off = side * (beam / 2 + 1.5)
    place = canvas.at(x + off * (heading == 90), y + off * (heading != 90), heading)
    canvas.stamp(draw.ship(place, length, kind, canvas.rng), "ship", on=WATER)


def container_stack(canvas: Canvas, x: float, y: float) -> None:
    rng = canvas.rng
    patch = draw.Patch(canvas.at(x, y, 90), 38, 20, margin_m=9)
    for row in np.arange(-9, 8, 2.7):
        for at in (-19.0, -6.3, 6.4):
            if rng.random() < 0.85:
                colour = draw.tint(draw.BOX_COLOURS[rng.integers(len(draw.BOX_COLOURS))], rng.uniform(0.85, 1.1))
                patch.rect(at, row, at + 12.2, row + 2.45, colour, base_m=0.0, top_m=2.6 * int(rng.integers(1, 4)))
    canvas.stamp(patch)


def ships_at_sea(canvas: Canvas, rect: Rect, count: int) -> None:
    """Ships under way or at anchor, kept apart by trying places until one is free."""
    rng = canvas.rng
    kinds = ("container", "bulk", "tanker", "ferry", "boat", "boat")
    for _ in range(count):
        kind = kinds[rng.integers(len(kinds))]
        length = float(rng.uniform(20, 34) if kind == "boat" else rng.uniform(55, 120))
        for _ in range(12):
            x, y = rng.random(2) * (rect.width, rect.height) + (rect.x, rect.y)
            heading = rng.normal(*((80, 25) if rng.random() < 0.5 else (260, 25)))
            clear = length / 2 + 12
            probe = draw.circle(clear, count=16) + canvas_point(canvas, x, y) * canvas.gsd_m
            if not _all_open_water(canvas, probe / canvas.gsd_m):
                continue
            if rng.random() < 0.55:
                wake(canvas, x, y, heading, length)
            if canvas.stamp(draw.ship(canvas.at(x, y, heading), length, kind, rng), "ship", on=WATER):
                break


def canvas_point(canvas: Canvas, x: float, y: float) -> Points:
    return canvas.to_px([(x, y)])[0]


def _all_open_water(canvas: Canvas, ring_px: Points) -> bool:
    inside = np.all((ring_px >= 0) & (ring_px < canvas.size))
    if not inside:
        return False
    (left, top), (right, bottom) = ring_px.min(0).astype(int), ring_px.max(0).astype(int)
    return bool(np.all(canvas.used[top:bottom, left:right] == WATER))


def wake(canvas: Canvas, x: float, y: float, heading: float, length: float) -> None:
    """Churned water behind the stern and two thin bow waves."""
    angle = np.deg2rad(heading)
    ahead, right = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    stern, bow = (x, y) - ahead * length * 0.46, (x, y) + ahead * length * 0.4
    half = 0.05 * length + 1
    tail = np.array([stern + right * half, stern - right * half, stern - ahead * length * 1.9])
    canvas.fill([tail], ground.FOAM, soft_m=1.6, ragged=False, opacity=0.5, only=WATER)
    waves = [np.array([bow, bow - ahead * length * 1.1 + right * side * length * 0.3]) for side in (-1, 1)]
    canvas.fill(waves, ground.FOAM, line_m=1.6, soft_m=1.6, opacity=0.45, only=WATER)


def marina(canvas: Canvas, rect: Rect) -> None:
    """A basin with finger piers that start from its right-hand quay."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.BASIN)
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
    canvas.stamp(draw.tank(place, min(50.0, side * rng.uniform(0.62, 0.76)), bool(rng.random() < 0.35), rng), "storage tank")
    canvas.fill([[(square.x + side / 2, square.y), (square.x + side / 2, square.y + side * 0.14)]], ground.WHITE_PAINT, line_m=0.8)


# --- sports and town ------------------------------------------------------------------------------------------------


def courts(canvas: Canvas, rect: Rect) -> None:
    """Tennis courts in fenced rows, basketball courts beside them."""
    rng, x = canvas.rng, rect.x + 6
    canvas.fill([rect.corners()], ground.LAWN, soft_m=2)
    while x + 44 < rect.x + rect.width:
        tennis = rng.random() < 0.65 or x == rect.x + 6
        size, pitch = (draw.TENNIS_SURFACE_M, 17.5) if tennis else (draw.BASKETBALL_SURFACE_M, 19.5)
        count = int(min(rng.integers(3, 6), (rect.height - 16) // pitch))
        paint, around = draw.COURT_PAINTS[rng.integers(len(draw.COURT_PAINTS))]
        pad = Rect(x, rect.y + 6, size[0] + 9, count * pitch + 4)
        canvas.fill([pad.corners(-0.6)], ground.STAIN, opacity=0.6)  # the fence
        canvas.fill([pad.corners()], ground.Material(around, draw.tint(around, 1.07), 0.03, PAVED))
        for index in range(count):
            place = canvas.at(pad.x + pad.width / 2, pad.y + 2 + (index + 0.5) * pitch, rng.choice((0, 180)))
            if tennis:
                canvas.stamp(draw.tennis_court(place, paint), "tennis court")
            else:
                canvas.stamp(draw.basketball_court(place, paint, draw.tint(around, 1.1)), "basketball court")
        x += pad.width + 12
    ground.trees_at_random(canvas, rect, 60)


def diamond(canvas: Canvas, rect: Rect) -> None:
    """A baseball field: mown outfield in a fan, infield at its corner, stands behind home plate."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.LAWN, soft_m=2)
    infield = float(rng.uniform(40, 54))
    side = min(rect.width, rect.height)
    heading = float(rng.choice((45, 135, 225, 315)))
    toward = np.array([np.cos(np.deg2rad(heading)), np.sin(np.deg2rad(heading))])
    home = np.array([rect.x + rect.width / 2, rect.y + rect.height / 2]) - toward * (side / 2 * 1.414 - 16)
    fan = np.concatenate([[(0, 0)], draw.circle(side - 22, heading - 45, heading + 45)]) + home
    canvas.fill([fan], ground.SOIL, soft_m=0.6)  # the warning track
    inner = np.concatenate([[(0, 0)], draw.circle(side - 26, heading - 45, heading + 45)]) + home
    canvas.fill([inner], ground.MOWN, soft_m=0.6, rows_deg=heading)
    dirt = ground.DIRTS[rng.integers(len(ground.DIRTS))]
    centre = home + toward * 0.5 * infield
    patch = draw.baseball_diamond(canvas.at(*centre, heading), infield, bool(rng.random() < 0.6), dirt, (62, 86, 50))
    canvas.stamp(patch, "baseball diamond")
    for turn in (-1, 1):
        angle = np.deg2rad(heading + turn * 112)
        stand = home + toward * 4 + 15 * np.array([np.cos(angle), np.sin(angle)])
        canvas.stamp(draw.shed(canvas.at(*stand, heading + turn * 45), 13, 4, 3, rng))
    ground.trees_at_random(canvas, Rect(rect.x, rect.y, rect.width, 8), 200)


def stadium(canvas: Canvas, rect: Rect) -> None:
    """A running track with its pitch, a stand and some trees."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.LAWN, soft_m=2)
    upright = rect.height > rect.width
    if min(rect.width, rect.height) < 96 or max(rect.width, rect.height) < 180:
        return
    middle = rect.x + rect.width / 2, rect.y + rect.height / 2
    paint = ground.TRACK_PAINTS[rng.integers(len(ground.TRACK_PAINTS))]
    canvas.stamp(draw.ground_track_field(canvas.at(*middle, 90.0 * upright), paint, (64, 92, 52)), "ground track field")
    off = 54.0 if min(rect.width, rect.height) > 114 else 0.0
    if off:
        spot = (middle[0] + off, middle[1]) if upright else (middle[0], middle[1] + off)
        canvas.stamp(draw.shed(canvas.at(*spot, 90.0 * upright), 70, 9, 7, rng))
    ground.trees_at_random(canvas, rect, 30)


def town(canvas: Canvas, rect: Rect) -> None:
    """Streets with houses on both sides, gardens, trees and parked cars."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.LAWN, soft_m=4)
    rows = np.arange(rect.y + 28, rect.y + rect.height - 24, 62.0)
    streets = [np.array([(rect.x, y), (rect.x + rect.width, y)]) for y in rows]
    for x in np.arange(rect.x + 10, rect.x + rect.width, 165.0):
        streets.append(np.array([(x, rect.y), (x, rect.y + rect.height)]))
    for street in streets:
        ground.road(canvas, street, 6.5)
    for y in rows:
        for side in (-1, 1):
            _houses(canvas, rect, y, side)
    for street in streets:
        ground.traffic(canvas, street, 6.5, 55, trucks=0.05)
    ground.trees_at_random(canvas, rect, 75, largest=0.8)


def _houses(canvas: Canvas, rect: Rect, street_y: float, side: int) -> None:
    """One side of a street, a drive and sometimes a car before each house."""
    rng, x = canvas.rng, rect.x + 26
    while x < rect.x + rect.width - 14:
        length, width = rng.uniform(10, 16), rng.uniform(8, 11)
        y = street_y + side * (rng.uniform(7, 9) + width / 2 + 4)
        drive = x + length / 2 + 1.8
        canvas.fill([[(drive, street_y + side * 4), (drive, y)]], ground.PAVING, line_m=3.2)
        roof = draw.tint(ground.ROOFS[rng.integers(len(ground.ROOFS))], rng.uniform(0.85, 1.15))
        if canvas.is_free(x, y, margin_m=3):
            canvas.stamp(draw.house(canvas.at(x, y, rng.choice((0, 0, 0, 90)) + rng.normal(0, 1.5)), length, width, roof, rng))
        if rng.random() < 0.5:
            place = canvas.at(drive, street_y + side * 9, 90)
            canvas.stamp(draw.vehicle(place, False, rng), "vehicle", on=PAVED)
        x += length + rng.uniform(7, 12)


# --- plans ----------------------------------------------------------------------------------------------------------


def paint_compact(canvas: Canvas) -> None:
    """A quilt of square sites, for scenes too small for the full plan."""
    extent = canvas.size * canvas.gsd_m
    canvas.trees = draw.trees(canvas.gsd_m, 40, canvas.rng)
    canvas.fill([Rect(0, 0, extent, extent).corners(-5)], ground.GRASS)
    cell = 210.0 if extent > 500 else 126.0
    kinds: tuple[Site, ...] = (apron, tank_farm, courts, diamond, marina, stadium, ground.car_park, town)
    count = max(1, int(extent // cell))
    pitch = extent / count
    for index in range(count * count):
        row, column = divmod(index, count)
        kinds[index % len(kinds)](canvas, Rect(column * pitch + 6, row * pitch + 6, pitch - 12, pitch - 12))
    ground.trees_at_random(canvas, Rect(0, 0, extent, extent), 10)


def paint_full(canvas: Canvas) -> None:
    """The whole plan, drawn from the ground up: land, water, sites, roads, bridges, traffic, trees."""
    extent, rng = canvas.size * canvas.gsd_m, canvas.rng
    margin = 0.12 * extent  # the plan is turned, so it must reach beyond the scene's corners
    canvas.trees = draw.trees(canvas.gsd_m, 40, rng)
    ground.countryside(canvas, Rect(-margin, -margin, extent + 2 * margin, extent + 2 * margin))
    river, shore = _river(extent + margin), _shore(canvas, -margin, extent + margin)
    canvas.fill([river], ground.ROCK, line_m=58, soft_m=4, ragged=True)
    canvas.fill([river], ground.RIVER, line_m=48, soft_m=1.5)
    ground.sea(canvas, shore, -margin * 2)
    port(canvas, Rect(470, 130, 230, 620))
    marina(canvas, Rect(330, 800, 170, 350))
    tank_farm(canvas, Rect(560, 800, 290, 330))
    airport(canvas, Rect(790, 40, extent + margin - 790, 590))
    _sports(canvas)
    town(canvas, Rect(1560, 760, 560, 370))
    town(canvas, Rect(1020, 1450, 420, 250))
    _roads(canvas, river, extent + margin)
    ships_at_sea(canvas, Rect(-40, 20, 430, extent - 60), 26)
    for wood in (Rect(1480, 1400, 330, 240), Rect(640, 1720, 300, 220), Rect(1880, 1480, 300, 420), Rect(1120, 1800, 360, 180)):
        ground.forest(canvas, wood)
    ground.trees_at_random(canvas, Rect(500, 0, extent + margin - 500, extent + margin), 3)


def _shore(canvas: Canvas, top: float, bottom: float) -> Points:
    """The coast from north to south; straight along the port and the marina, whose edges are built."""
    y = np.arange(top, bottom, 12.0)
    wave = 26 * np.sin(y / 140) + 16 * np.sin(y / 61 + 1) + np.cumsum(canvas.rng.normal(0, 1.6, len(y)))
    built = np.clip(np.minimum(y - 60, 1200 - y) / 60, 0, 1)
    return np.stack([(1 - built) * (470 + wave) + built * 486, y], axis=1)


def _river(right: float) -> Points:
    x = np.arange(440.0, right + 20, 15.0)
    return np.stack([x, 1290 + 38 * np.sin(x / 210) + 14 * np.sin(x / 77)], axis=1)


def _sports(canvas: Canvas) -> None:
    courts(canvas, Rect(920, 770, 220, 110))
    stadium(canvas, Rect(920, 900, 130, 220))
    diamond(canvas, Rect(1070, 900, 130, 130))
    stadium(canvas, Rect(1220, 770, 200, 125))
    diamond(canvas, Rect(1220, 920, 140, 140))
    diamond(canvas, Rect(1390, 920, 120, 120))
    courts(canvas, Rect(1080, 1045, 280, 100))
    ground.car_park(canvas, Rect(1440, 775, 90, 110))
    stadium(canvas, Rect(640, 1440, 220, 130))
    courts(canvas, Rect(660, 1600, 200, 90))


def _roads(canvas: Canvas, river: Points, right: float) -> None:
    """Main roads with their traffic, and a bridge where one crosses the river."""
    highway = np.array([(705.0, 690.0), (880.0, 700.0), (1300.0, 690.0), (right, 720.0)])
    south = [np.array([(x, 700.0), (x, 1100.0), (x + bend, 1290.0), (x + bend, right)]) for x, bend in ((880.0, 0.0), (1535.0, 0.0))]
    coast = np.array([(532.0, 780.0), (532.0, 1160.0), (590.0, 1260.0), (590.0, 1420.0), (560.0, right)])
    farm = np.array([(590.0, 1410.0), (1000.0, 1420.0), (1500.0, 1385.0), (right, 1400.0)])
    widths = ((highway, 15.0), (south[0], 9.0), (south[1], 9.0), (coast, 8.0), (farm, 7.5))
    for line, width in widths:
        ground.road(canvas, line, width, ground.GRASS if width > 10 else ground.PAVING)
    for x, width in ((590.0, 12.0), (880.0, 13.0), (1535.0, 13.0)):
        y = float(np.interp(x, river[:, 0], river[:, 1]))
        span = 62.0 + 20
        canvas.stamp(draw.bridge(canvas.at(x, y, 90), span, width), "bridge", occupies=False)
    for line, width in widths:
        ground.traffic(canvas, line, width, 50 if width > 10 else 70)
