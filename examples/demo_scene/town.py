"""The town of the demo scene: its sports grounds, streets and houses."""

from __future__ import annotations

import numpy as np

from demo_scene import ground, street
from demo_scene import objects as draw
from demo_scene.canvas import PAVED, Canvas, Material
from demo_scene.ground import Rect
from demo_scene.patch import circle, tint


def courts(canvas: Canvas, rect: Rect) -> None:
    """Fenced columns of courts: every third is for basketball, from the second on, the others for tennis."""
    rng, x, column = canvas.rng, rect.x + 6, 0
    canvas.fill([rect.corners()], ground.LAWN, soft_m=2)
    while x + 44 < rect.x + rect.width:
        tennis = column % 3 != 1
        size, pitch = (draw.TENNIS_SURFACE_M, 17.5) if tennis else (draw.BASKETBALL_SURFACE_M, 19.5)
        count = min(int(rng.integers(3, 6)), int((rect.height - 16) // pitch))
        paint, around = draw.COURT_PAINTS[rng.integers(len(draw.COURT_PAINTS))]
        pad = Rect(x, rect.y + 6, size[0] + 9, count * pitch + 4)
        canvas.fill([pad.corners(-0.6)], ground.STAIN, opacity=0.6)  # the fence
        canvas.fill([pad.corners()], Material(around, tint(around, 1.07), 0.03, PAVED))
        for index in range(count):
            place = canvas.at(pad.x + pad.width / 2, pad.y + 2 + (index + 0.5) * pitch, rng.choice((0, 180)))
            if tennis:
                canvas.stamp(draw.tennis_court(place, paint), "tennis court")
            else:
                canvas.stamp(draw.basketball_court(place, paint, tint(around, 1.1)), "basketball court")
        x, column = x + pad.width + 12, column + 1
    ground.trees_at_random(canvas, rect, 60)


def diamond(canvas: Canvas, rect: Rect) -> None:
    """A baseball field: mown outfield in a fan, infield at its corner, stands behind home plate."""
    rng = canvas.rng
    canvas.fill([rect.corners()], ground.LAWN, soft_m=2)
    infield = float(rng.uniform(40, 54))
    side = min(rect.width, rect.height, 135.0)
    heading = float(rng.choice((45, 135, 225, 315)))
    toward = np.array([np.cos(np.deg2rad(heading)), np.sin(np.deg2rad(heading))])
    home = np.array([rect.x + rect.width / 2, rect.y + rect.height / 2]) - toward * (side / 2 * 1.414 - 16)
    fan = np.concatenate([[(0, 0)], circle(side - 22, heading - 45, heading + 45)]) + home
    canvas.fill([fan], ground.SOIL, soft_m=0.6)  # the warning track
    inner = np.concatenate([[(0, 0)], circle(side - 26, heading - 45, heading + 45)]) + home
    canvas.fill([inner], ground.MOWN, soft_m=0.6, rows_deg=heading)
    dirt = ground.DIRTS[rng.integers(len(ground.DIRTS))]
    x, y = home + toward * 0.5 * infield
    patch = draw.baseball_diamond(canvas.at(x, y, heading), infield, bool(rng.random() < 0.6), dirt, (62, 86, 50))
    canvas.stamp(patch, "baseball diamond")
    for turn in (-1, 1):
        angle = np.deg2rad(heading + turn * 112)
        x, y = home + toward * 4 + 15 * np.array([np.cos(angle), np.sin(angle)])
        canvas.stamp(street.shed(canvas.at(x, y, heading + turn * 45), 13, 4, 3, rng))
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
        canvas.stamp(street.shed(canvas.at(*spot, 90.0 * upright), 70, 9, 7, rng))
    ground.trees_at_random(canvas, rect, 30)


def town(canvas: Canvas, rect: Rect) -> None:
    """Streets with houses on both sides, gardens, trees and parked cars."""
    canvas.fill([rect.corners()], ground.LAWN, soft_m=4)
    rows = np.arange(rect.y + 28, rect.y + rect.height - 24, 62.0)
    streets = [np.array([(rect.x, y), (rect.x + rect.width, y)]) for y in rows]
    for x in np.arange(rect.x + 10, rect.x + rect.width, 165.0):
        streets.append(np.array([(x, rect.y), (x, rect.y + rect.height)]))
    for line in streets:
        ground.road(canvas, line, 6.5)
    for y in rows:
        for side in (-1, 1):
            _houses(canvas, rect, y, side)
    for line in streets:
        ground.traffic(canvas, line, 6.5, 80, trucks=0.05)
    ground.trees_at_random(canvas, rect, 75, largest=0.8)


def _houses(canvas: Canvas, rect: Rect, street_y: float, side: int) -> None:
    """One side of a street, a drive and sometimes a car before each house."""
    rng, x = canvas.rng, rect.x + 26
    while x < rect.x + rect.width - 14:
        length, width = rng.uniform(10, 16), rng.uniform(8, 11)
        y = street_y + side * (rng.uniform(7, 9) + width / 2 + 4)
        drive = x + length / 2 + 1.8
        canvas.fill([[(drive, street_y + side * 4), (drive, y)]], ground.PAVING, line_m=3.2)
        roof = tint(ground.ROOFS[rng.integers(len(ground.ROOFS))], rng.uniform(0.85, 1.15))
        if canvas.is_free(x, y, margin_m=3):
            heading = rng.choice((0, 0, 0, 90)) + rng.normal(0, 1.5)
            canvas.stamp(street.house(canvas.at(x, y, heading), length, width, roof, rng))
            _garden(canvas, x, y + side * (width / 2 + 9))
        if rng.random() < 0.5:
            place = canvas.at(drive, street_y + side * 9, 90)
            canvas.stamp(street.vehicle(place, False, rng), "vehicle", on=PAVED)
        x += length + rng.uniform(7, 12)


def _garden(canvas: Canvas, x: float, y: float) -> None:
    """Behind a house: a shed, a pool, bare soil, or nothing."""
    rng, kind = canvas.rng, canvas.rng.random()
    spot = Rect(x - 4, y - 2.5, 8, 5)
    if kind < 0.25:
        place = canvas.at(x + rng.uniform(-4, 4), y, 90.0 * int(rng.integers(2)))
        canvas.stamp(street.house(place, 5, 4, (122, 112, 102), rng))
    elif kind < 0.35:
        canvas.fill([spot.corners(-1.5)], ground.PAVING)
        canvas.fill([spot.corners()], ground.POOL)
    elif kind < 0.6:
        canvas.fill([spot.corners(-1)], ground.SOIL, soft_m=1.5, opacity=0.6)
