"""Draws the single objects of the demo scene (make_scene.py places them).

Every function gives back a Patch: the object seen from above, drawn in metres along its own axes (x forward, y to the
right) with the shadow it throws. Shapes and colours follow what such objects look like in public aerial imagery; none
of that imagery is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scene_canvas import SHADOW_LIGHT, SHADOW_M, SUPERSAMPLE, Colour, Patch, Place, Points, circle

WHITE: Colour = (236, 237, 235)
LINE: Colour = (205, 207, 200)
GLASS: Colour = (38, 44, 52)
RUBBER_RED: Colour = (150, 74, 58)


def tint(colour: Sequence[int], factor: float) -> Colour:
    """The colour made brighter or darker."""
    red, green, blue = (int(np.clip(v * factor, 0, 255)) for v in colour)
    return red, green, blue


def _pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _mirrored(half: Sequence[tuple[float, float]]) -> Points:
    """A closed outline from its right half (y >= 0), mirrored at the x axis."""
    right = np.asarray(half, float)
    return np.concatenate([right, right[::-1] * (1, -1)])


@dataclass(frozen=True, slots=True)
class AirplaneKind:
    """Sizes in metres; sweep is how far the wing tip lies behind the root, as a part of half the span."""

    length: float
    span: float
    sweep: float
    engines: int
    tail_engines: bool = False


AIRPLANES: dict[str, AirplaneKind] = {
    "wide body": AirplaneKind(61.0, 58.0, 0.62, 2),
    "four engines": AirplaneKind(64.0, 62.0, 0.68, 4),
    "narrow body": AirplaneKind(38.0, 35.0, 0.52, 2),
    "regional jet": AirplaneKind(29.0, 26.0, 0.48, 0, tail_engines=True),
    "turboprop": AirplaneKind(26.0, 27.0, 0.08, 2),
    "business jet": AirplaneKind(19.0, 18.0, 0.42, 0, tail_engines=True),
}


def airplane(place: Place, kind: AirplaneKind, rng: np.random.Generator) -> Patch:
    length, span = kind.length, kind.span
    patch = Patch(place, length, span, margin_m=0.35 * length)
    body = _pick(rng, (WHITE, (228, 230, 232), (214, 218, 222), (240, 238, 230)))
    accent = _pick(rng, ((150, 44, 46), (40, 62, 120), (222, 224, 226), (196, 120, 44), (52, 96, 84), (60, 66, 80)))
    wing = tint(body, 0.9)
    radius = 0.052 * length if kind.engines != 4 else 0.055 * length
    for side in (1, -1):
        _wing(patch, kind, wing, side)
        tail = np.array([(-0.40, 0.0), (-0.475, 0.175), (-0.505, 0.175), (-0.495, 0.0)]) * (length, side * span)
        patch.polygon(tail, wing, base_m=0.11 * length, top_m=0.125 * length)
        if kind.tail_engines:
            nacelle = (0.02 - 0.36) * length, side * 0.085 * length
            patch.polygon(circle(1.0) * (0.065 * length, 0.026 * length) + nacelle, tint(body, 0.82))
    hull = _mirrored([(0.5, 0.0), (0.487, 0.4), (0.455, 0.78), (0.40, 1.0), (-0.22, 1.0), (-0.38, 0.62), (-0.5, 0.12)])
    patch.polygon(hull * (length, radius), tint(body, 0.8), base_m=0.05 * length, top_m=0.15 * length)
    patch.polygon(hull * (length * 0.99, radius * 0.66), body)  # the lit crown of the round body
    patch.rect(0.452 * length, -radius * 0.42, 0.468 * length, radius * 0.42, GLASS)
    fin = [(-0.37, 0.006), (-0.5, 0.011), (-0.5, -0.011), (-0.37, -0.006)]
    patch.polygon(np.array(fin) * length, accent, base_m=0.12 * length, top_m=0.27 * length)
    return patch


def _wing(patch: Patch, kind: AirplaneKind, colour: Colour, side: int) -> None:
    """One swept wing with its flap line and the engines before its leading edge."""
    length, half = kind.length, kind.span / 2
    root, back = 0.13 * length, kind.sweep * half
    chord = 0.175 * length
    outline = [(root, 0.0), (root - back, half), (root - back - 0.2 * chord, half),
               (root - 0.36 * back - 0.74 * chord, 0.36 * half), (root - 1.08 * chord, 0.0)]  # fmt: skip
    positions = {0: (), 2: (0.34,), 4: (0.36, 0.66)}[kind.engines]
    for part in positions:
        nose = root - part * back + 0.055 * length, side * part * half
        patch.polygon(circle(1.0) * (0.05 * length, 0.0235 * length) + nose, tint(colour, 0.86), 0.03 * length, 0.07 * length)
    patch.polygon(np.array(outline) * (1, side), colour, base_m=0.075 * length, top_m=0.085 * length)
    flap = np.array([(root - 0.9 * chord, 0.1 * half), (root - 0.36 * back - 0.62 * chord, 0.36 * half),
                     (root - back - 0.1 * chord, 0.96 * half)])  # fmt: skip
    patch.line(flap * (1, side), 0.012 * length, tint(colour, 0.82))


def ship(place: Place, length: float, kind: str, rng: np.random.Generator, wake: bool = False) -> Patch:
    """A cargo ship, tanker, container ship, ferry or (small) work boat, bow forward."""
    half = length * (0.075 if length > 60 else 0.12)
    height = 0.06 * length + 1
    patch = Patch(place, length, 2 * half, margin_m=0.25 * length + 4)
    deck, hull = _pick(rng, SHIP_COLOURS[kind])
    outline = _mirrored([(0.5, 0.0), (0.46, 0.36), (0.40, 0.72), (0.30, 1.0), (-0.42, 1.0), (-0.48, 0.86), (-0.5, 0.6)])
    patch.polygon(outline * (length, half), hull, base_m=0.0, top_m=height)
    patch.polygon(outline * (length * 0.985, half * 0.88), deck)
    _cargo(patch, kind, length, half, deck, height, rng)
    bridge_at = -0.43 if kind in ("tanker", "bulk", "container") else 0.12
    depth = 0.075 * length if kind != "ferry" else 0.3 * length
    for step, shrink in enumerate((1.0, 0.72)):
        patch.rect(bridge_at * length, -0.86 * half * shrink, bridge_at * length + depth * shrink, 0.86 * half * shrink,
                   tint(WHITE, 0.88 + 0.1 * step), base_m=height, top_m=height + 0.05 * length * (step + 1))  # fmt: skip
    patch.disc(bridge_at * length + 0.01 * length, 0.0, 0.2 * half, (70, 62, 60), base_m=height, top_m=height + 0.1 * length)
    return patch


SHIP_COLOURS: dict[str, tuple[tuple[Colour, Colour], ...]] = {
    "tanker": (((142, 66, 54), (92, 44, 40)), ((120, 84, 68), (60, 50, 50)), ((96, 112, 100), (66, 58, 56))),
    "bulk": (((126, 108, 92), (70, 52, 48)), ((134, 76, 60), (84, 46, 42)), ((112, 116, 112), (58, 62, 68))),
    "container": (((116, 112, 104), (52, 60, 76)), ((106, 84, 74), (90, 44, 42))),
    "ferry": (((206, 208, 206), (226, 228, 228)), ((180, 190, 182), (222, 222, 216))),
    "boat": (((186, 182, 172), (220, 220, 216)), ((132, 118, 98), (74, 86, 100)), ((152, 150, 146), (150, 62, 52))),
}
BOX_COLOURS: tuple[Colour, ...] = (
    (146, 66, 52), (60, 84, 118), (168, 164, 156), (88, 108, 84), (176, 128, 66), (110, 70, 62), (74, 78, 84), (196, 196, 192),
)  # fmt: skip


def _cargo(patch: Patch, kind: str, length: float, half: float, deck: Colour, height: float, rng: np.random.Generator) -> None:
    """What lies on deck: hatches, pipes or containers."""
    if kind == "bulk":
        for at in np.linspace(-0.26, 0.30, 6):
            patch.rect((at - 0.035) * length, -0.55 * half, (at + 0.035) * length, 0.55 * half,
                       tint(deck, 1.22), base_m=height, top_m=height + 2)  # fmt: skip
    elif kind == "tanker":
        patch.line([(-0.33 * length, 0), (0.42 * length, 0)], 0.13 * half, tint(deck, 1.45))
        for at in np.linspace(-0.28, 0.34, 6):
            patch.line([(at * length, -0.7 * half), (at * length, 0.7 * half)], 0.4, tint(deck, 0.75))
        patch.line([(0.02 * length, -0.8 * half), (0.02 * length, 0.8 * half)], 0.2 * half, tint(deck, 1.35))
    elif kind == "container":
        for at in np.arange(-0.33, 0.33, 6.6 / length):
            for y in np.arange(-0.8, 0.75, 2.6 / half):
                patch.rect(at * length, y * half, at * length + 6.1, y * half + 2.4, tint(_pick(rng, BOX_COLOURS), rng.uniform(0.8, 1.15)),
                           base_m=height, top_m=height + rng.integers(0, 4))  # fmt: skip
    elif kind == "boat":
        patch.rect(-0.38 * length, -0.5 * half, -0.12 * length, 0.5 * half, tint(deck, 0.7))


def tank(place: Place, diameter: float, floating_roof: bool, rng: np.random.Generator) -> Patch:
    """A storage tank: a cone roof lit from one side, or a floating roof sunk below its wall."""
    radius, height = diameter / 2, 8 + 0.2 * diameter
    patch = Patch(place, diameter, diameter, margin_m=height)
    colour = _pick(rng, (WHITE, WHITE, (224, 226, 224), (206, 208, 204), (216, 208, 190)))
    patch.disc(0, 0, radius, tint(colour, 0.86), base_m=0.0, top_m=height)
    sun_deg = np.rad2deg(np.arctan2(-SHADOW_M[1], -SHADOW_M[0])) - place.heading_deg
    if floating_roof:
        sunk = circle(radius * 0.95)
        lit = _overlap_of_discs(radius * 0.95, SHADOW_M * rng.uniform(2.0, 6.0), place.heading_deg)
        patch.polygon(sunk, tint(colour, 0.36))
        patch.polygon(lit, tint(colour, 0.93))
        patch.line([(0, 0), (0.9 * radius, 0)], 0.7, tint(colour, 0.7))
    else:
        for start in range(0, 360, 15):
            light = 0.96 + 0.06 * np.cos(np.deg2rad(start + 7.5 - sun_deg))
            slice_ = np.concatenate([[(0.0, 0.0)], circle(radius * 0.965, start - 1, start + 16, 4)])
            patch.polygon(slice_, tint(colour, light))
        patch.disc(0, 0, max(0.5, radius * 0.05), tint(colour, 0.78))
        stair = circle(radius * 0.985, 20, 75, 10)
        patch.line(stair, 0.6, tint(colour, 0.6))
    return patch


def _overlap_of_discs(radius: float, shift_scene_m: Points, heading_deg: float) -> Points:
    """The part of a disc's floor that its own wall leaves in the sun; the shadow is the disc moved away from the sun."""
    angle = np.deg2rad(-heading_deg)
    shift = shift_scene_m @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    rim = circle(radius, count=73)
    points = np.concatenate([rim[np.hypot(*(rim - shift).T) <= radius], (rim + shift)[np.hypot(*(rim + shift).T) <= radius]])
    middle = points - points.mean(0)
    return points[np.argsort(np.arctan2(middle[:, 1], middle[:, 0]))]


COURT_PAINTS: tuple[tuple[Colour, Colour], ...] = (  # the playing surface and what surrounds it
    ((62, 84, 122), (88, 112, 84)), ((84, 96, 88), (140, 76, 62)), ((74, 100, 82), (96, 110, 92)),
    ((150, 88, 66), (132, 78, 60)), ((92, 98, 102), (74, 104, 90)), ((56, 72, 116), (74, 98, 142)),
)  # fmt: skip
TENNIS_PITCH_M = 17.5  # from one court of a row to the next
TENNIS_SURFACE_M = (28.0, 14.0)
BASKETBALL_SURFACE_M = (29.5, 16.5)


def tennis_court(place: Place, paint: Colour) -> Patch:
    patch = Patch(place, *TENNIS_SURFACE_M)
    x, y = (side / 2 for side in TENNIS_SURFACE_M)
    patch.rect(-x, -y, x, y, paint)
    for side in (5.485, 4.115):
        patch.line([(-11.9, -side), (11.9, -side)], 0.3, LINE)
        patch.line([(-11.9, side), (11.9, side)], 0.3, LINE)
    for at, reach in ((-11.9, 5.485), (11.9, 5.485), (-6.4, 4.115), (6.4, 4.115)):
        patch.line([(at, -reach), (at, reach)], 0.3, LINE)
    patch.line([(-6.4, 0), (6.4, 0)], 0.3, LINE)
    patch.line([(-0.35, -6.2), (-0.35, 6.2)], 0.5, tint(paint, 0.5))  # the shadow of the net
    patch.line([(0, -6.2), (0, 6.2)], 0.25, tint(LINE, 0.8))
    return patch


def basketball_court(place: Place, paint: Colour, key: Colour) -> Patch:
    patch = Patch(place, *BASKETBALL_SURFACE_M)
    x, y = (side / 2 for side in BASKETBALL_SURFACE_M)
    patch.rect(-x, -y, x, y, paint)
    patch.disc(0, 0, 1.8, key)
    for side in (-1, 1):
        patch.polygon(np.array([(14, -2.45), (8.2, -2.45), (8.2, 2.45), (14, 2.45)]) * side, key)
        patch.line(np.array([(14, -2.45), (8.2, -2.45), (8.2, 2.45), (14, 2.45)]) * side, 0.3, LINE)
        patch.line((circle(1.8, 90, 270) + (8.2, 0)) * side, 0.3, LINE)
        arc = circle(6.75, 102, 258) + (12.4, 0)
        patch.line(np.concatenate([[(14, 6.6)], arc, [(14, -6.6)]]) * side, 0.3, LINE)
        patch.line(np.array([(13.2, -0.9), (13.2, 0.9)]) * side, 0.4, WHITE)
    patch.line(circle(1.8), 0.3, LINE, closed=True)
    patch.line([(0, -7.5), (0, 7.5)], 0.3, LINE)
    patch.line([(-14, -7.5), (14, -7.5), (14, 7.5), (-14, 7.5)], 0.35, LINE, closed=True)
    return patch


def _oval(radius: float, straight: float) -> Points:
    right = circle(radius, -90, 90) + (straight / 2, 0)
    return np.concatenate([right, -right])


def ground_track_field(place: Place, paint: Colour, grass: Colour) -> Patch:
    """The 400 m running track (two half circles of 36.5 m, straights of 84.4 m, eight lanes) with a pitch inside."""
    straight, inner, outer = 84.4, 36.5, 46.3
    patch = Patch(place, straight + 2 * outer, 2 * outer)
    patch.polygon(_oval(outer, straight), paint)
    for lane in np.linspace(inner, outer, 9)[1:-1]:
        patch.line(_oval(lane, straight), 0.25, tint(paint, 1.22), closed=True)
    patch.polygon(_oval(inner, straight), tint(paint, 0.92))
    patch.polygon(_oval(inner - 1, straight) * (0.93, 0.97), tint(grass, 0.95))
    for index, at in enumerate(np.arange(-52, 52, 8.0)):
        patch.rect(at, -33, at + 8, 33, tint(grass, 1.09 if index % 2 else 0.98))  # mown in stripes
    pitch = np.array([(-50, -31), (50, -31), (50, 31), (-50, 31)])
    patch.line(pitch, 0.35, LINE, closed=True)
    patch.line([(0, -31), (0, 31)], 0.35, LINE)
    patch.line(circle(9.15), 0.3, LINE, closed=True)
    for side in (-1, 1):
        patch.line(np.array([(50, -20), (33.5, -20), (33.5, 20), (50, 20)]) * side, 0.3, LINE)
        patch.line(np.array([(50.5, -3.6), (50.5, 3.6)]) * side, 0.7, WHITE)
    patch.line([(0, outer - 0.2), (straight / 2, outer - 0.2)], 0.4, LINE)
    return patch


def baseball_diamond(place: Place, size_m: float, grass_infield: bool, dirt: Colour, grass: Colour) -> Patch:
    """The dirt infield: home plate at the back, foul lines at 45 degrees, its far edge an arc around the mound."""
    unit = size_m / 47.0  # drawn for bases 27.4 m apart, which makes the dirt 47 m deep
    patch = Patch(place, 1.2 * size_m, 1.3 * size_m)
    arc = circle(28.0, -76, 76) + (-5.0, 0.0)
    fan = np.concatenate([[(-25.5, 3.0)], arc[::-1], [(-25.5, -3.0)]])
    patch.polygon(fan * unit, dirt)
    patch.disc(-23.5 * unit, 0, 4.2 * unit, dirt)
    corners = np.array([(-20.5, 0.0), (-3.2, 17.3), (14.1, 0.0), (-3.2, -17.3)])
    if grass_infield:
        patch.polygon(_rounded(corners, 0.16) * unit, grass)
    patch.line([(-22.5 * unit, 0), (-5 * unit, 0)], 1.2 * unit, tint(dirt, 0.97))
    patch.disc(-5 * unit, 0, 3.0 * unit, tint(dirt, 1.04))
    for x, y in corners[1:]:
        patch.disc(x * unit * 1.04, y * unit, 0.45, WHITE)
    for side in (-1, 1):
        patch.line(np.array([(-23.5, 0), (-2.0, side * 21.5)]) * unit, 0.25, tint(LINE, 0.96))
    return patch


def _rounded(corners: Points, cut: float) -> Points:
    """A polygon with its corners cut off twice, which looks round at this size."""
    for part in (cut, cut * 0.8):
        nxt, last = np.roll(corners, -1, 0), np.roll(corners, 1, 0)
        corners = np.stack([corners + part * (last - corners), corners + part * (nxt - corners)], axis=1).reshape(-1, 2)
    return corners


def harbor_pier(place: Place, length: float, rng: np.random.Generator) -> Patch:
    """A walkway on piles with finger piers on both sides and boats in most of the berths."""
    reach = 13.0
    patch = Patch(place, length, 2 * reach + 3, margin_m=6)
    wood = _pick(rng, ((150, 142, 128), (168, 162, 150), (128, 116, 100)))
    patch.rect(-length / 2, -1.3, length / 2, 1.3, wood, base_m=0.6, top_m=1.4)
    for side in (-1, 1):
        for at in np.arange(-length / 2 + 5.0, length / 2 - 8.5, 9.6):
            patch.rect(at - 0.5, side * 1.0, at + 0.5, side * (reach - 1.5), tint(wood, 0.95), base_m=0.5, top_m=1.2)
            for berth in (at + 2.7, at + 6.8):
                if rng.random() < 0.85:
                    _small_boat(patch, berth, side, rng.uniform(8.0, 11.5), rng)
    return patch


def _small_boat(patch: Patch, x: float, side: int, length: float, rng: np.random.Generator) -> None:
    """A motor yacht or sailing boat across the walkway, bow outward or inward."""
    half, colour = 0.155 * length, tint(WHITE, rng.uniform(0.82, 1.05))
    start, bow = (2.0, 2.0 + length) if rng.random() < 0.5 else (2.0 + length, 2.0)
    along = np.linspace(start, bow, 5)
    width = np.array([0.75, 1.0, 1.0, 0.65, 0.0]) * half
    hull = np.concatenate([np.stack([x + width, along], 1), np.stack([x - width, along], 1)[::-1]])
    patch.polygon(hull * (1, side), colour, base_m=0.0, top_m=1.4)
    cover = _pick(rng, (GLASS, (196, 192, 182), (52, 74, 120), (120, 122, 124), (226, 228, 228)))
    low, high = sorted(side * (start + (bow - start) * part) for part in (0.22, 0.55))
    patch.rect(x - 0.62 * half, low, x + 0.62 * half, high, cover, base_m=1.4, top_m=2.6)


def bridge(place: Place, length: float, width: float) -> Patch:
    """A road bridge: a light concrete deck with parapets, six metres above the water."""
    patch = Patch(place, length, width, margin_m=7)
    concrete = (166, 162, 154)
    patch.rect(-length / 2, -width / 2, length / 2, width / 2, concrete, base_m=3.5, top_m=6.5)
    patch.rect(-length / 2, -width / 2 + 1.8, length / 2, width / 2 - 1.8, (126, 124, 120))
    for side in (-1, 1):
        patch.line([(-length / 2, side * (width / 2 - 0.4)), (length / 2, side * (width / 2 - 0.4))], 0.6, (206, 203, 194))
        patch.line([(-length / 2, side * (width / 2 - 2.2)), (length / 2, side * (width / 2 - 2.2))], 0.25, LINE)
    for at in np.arange(-length / 2 + 2, length / 2 - 4, 8.0):
        patch.line([(at, 0), (at + 4, 0)], 0.3, LINE)
    for at in np.arange(-length / 2, length / 2 + 1, max(12.0, length / 5)):
        patch.line([(at, -width / 2), (at, width / 2)], 0.35, (92, 90, 88))  # joints between the spans
    return patch


CAR_PAINTS: tuple[Colour, ...] = (
    (226, 228, 228), (234, 234, 230), (196, 200, 204), (160, 164, 168), (92, 96, 102), (44, 46, 50), (36, 38, 44),
    (140, 40, 38), (50, 66, 104), (178, 172, 156), (72, 84, 78),
)  # fmt: skip


def vehicle(place: Place, truck: bool, rng: np.random.Generator) -> Patch:
    """A car with its windscreens, or a truck with cab and box."""
    length, width = (rng.uniform(9.0, 15.0), 2.6) if truck else (rng.uniform(4.2, 5.0), rng.uniform(1.8, 2.0))
    patch = Patch(place, length, width, margin_m=3.5)
    half, side = length / 2, width / 2
    if truck:
        patch.rect(-half, -side, half - 2.8, side, _pick(rng, (WHITE, (200, 202, 200), *BOX_COLOURS)), base_m=0.0, top_m=3.8)
        patch.rect(half - 2.4, -side * 0.95, half, side * 0.95, _pick(rng, CAR_PAINTS), base_m=0.0, top_m=3.0)
        patch.rect(half - 2.8, -side * 0.4, half - 2.4, side * 0.4, GLASS)
        patch.rect(half - 0.5, -side * 0.8, half - 0.1, side * 0.8, GLASS)
        return patch
    paint = _pick(rng, CAR_PAINTS)
    hull = _mirrored([(1.0, 0.0), (0.98, 0.7), (0.88, 0.97), (-0.9, 0.97), (-1.0, 0.8)])
    patch.polygon(hull * (half, side), paint, base_m=0.0, top_m=1.4)
    patch.rect(0.12 * length, -side * 0.78, 0.25 * length, side * 0.78, GLASS)
    patch.rect(-0.4 * length, -side * 0.72, -0.3 * length, side * 0.72, GLASS)
    patch.rect(-0.3 * length, -side * 0.7, 0.12 * length, side * 0.7, tint(paint, 1.08))
    return patch


def house(place: Place, length: float, width: float, roof: Colour, rng: np.random.Generator) -> Patch:
    """A house with a gabled roof, one slope in the light and one away from it."""
    eaves = rng.uniform(4.0, 6.5)
    patch = Patch(place, length, width, margin_m=eaves + 3)
    normal = np.deg2rad(place.heading_deg + 90)
    lit = float(np.clip(-(np.cos(normal) * SHADOW_M[0] + np.sin(normal) * SHADOW_M[1]), -0.75, 0.75)) * 0.42
    patch.rect(-length / 2, -width / 2, length / 2, width / 2, tint(roof, 1 - lit), base_m=0.0, top_m=eaves + 1.5)
    patch.rect(-length / 2, 0, length / 2, width / 2, tint(roof, 1 + lit))
    patch.line([(-length / 2, 0), (length / 2, 0)], 0.4, tint(roof, 1.2))
    at = rng.uniform(-0.35, 0.35) * length
    patch.rect(at, -1.8, at + 1.0, -0.8, tint(roof, 0.8), base_m=0, top_m=1.8)
    return patch


def shed(place: Place, length: float, width: float, height: float, rng: np.random.Generator) -> Patch:
    """A hall with a flat roof: parapet, seams and machines on top."""
    patch = Patch(place, length, width, margin_m=height + 2)
    roof = _pick(rng, ((176, 176, 172), (204, 205, 202), (148, 146, 142), (128, 134, 138), (166, 150, 136)))
    patch.rect(-length / 2, -width / 2, length / 2, width / 2, tint(roof, 1.14), base_m=0.0, top_m=height)
    patch.rect(-length / 2 + 0.8, -width / 2 + 0.8, length / 2 - 0.8, width / 2 - 0.8, roof)
    for at in np.arange(-length / 2 + 6, length / 2 - 4, 6.0):
        patch.line([(at, -width / 2 + 0.8), (at, width / 2 - 0.8)], 0.3, tint(roof, rng.uniform(0.9, 1.08)))
    for _ in range(int(length * width / 220)):
        x, y = rng.uniform(-0.42, 0.42) * length, rng.uniform(-0.38, 0.38) * width
        patch.rect(x, y, x + rng.uniform(1.5, 3.5), y + rng.uniform(1.2, 2.5), tint(roof, rng.uniform(0.75, 1.2)),
                   base_m=0.0, top_m=1.6)  # fmt: skip
    return patch


Sprite = tuple[NDArray[np.float32], NDArray[np.float32]]


def trees(gsd_m: float, count: int, rng: np.random.Generator) -> list[Sprite]:
    """Trees from small to large as (keep, paint) layers for Canvas.lay, each with its shadow."""
    return [_tree(radius, gsd_m, rng) for radius in np.linspace(1.6, 5.6, count)]


def _tree(radius: float, gsd_m: float, rng: np.random.Generator) -> Sprite:
    """A crown of leafy lumps: each lump is bright towards the sun, and the crown as a whole too."""
    step = gsd_m / SUPERSAMPLE
    half = int(np.ceil(2.6 * radius / gsd_m)) * SUPERSAMPLE
    y, x = (np.mgrid[-half:half, -half:half] + 0.5) * step
    crown, light = np.zeros(x.shape, bool), np.zeros(x.shape)
    for _ in range(max(7, int(radius * 5))):
        turn, out = rng.uniform(0, 2 * np.pi), radius * 0.72 * np.sqrt(rng.random())
        lump = radius * rng.uniform(0.24, 0.42)
        dx, dy = (x - out * np.cos(turn)) / lump, (y - out * np.sin(turn)) / lump
        inside = dx**2 + dy**2 < 1
        sun = -(dx * SHADOW_M[0] + dy * SHADOW_M[1]) * 0.26 - (x * SHADOW_M[0] + y * SHADOW_M[1]) / radius * 0.34
        light[inside] = (1 + sun * 1.25 + rng.normal(0, 0.1))[inside]
        crown |= inside
    colour = np.array(_pick(rng, ((52, 72, 40), (46, 66, 40), (62, 76, 42), (42, 58, 36), (66, 80, 48)))) * rng.uniform(0.85, 1.1)
    shift = np.round(SHADOW_M * radius * 1.5 / step).astype(int)
    shadow = np.roll(crown, (shift[1], shift[0]), (0, 1))
    solid, shaded, bright = (_shrink(layer.astype(np.float32)) for layer in (crown, shadow & ~crown, light * crown))
    keep = (1 - shaded[..., None] * (1 - SHADOW_LIGHT)) * (1 - solid[..., None])
    return keep.astype(np.float32), (bright[..., None] * colour).astype(np.float32)


def _shrink(layer: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = (side // SUPERSAMPLE for side in layer.shape)
    return layer.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE).mean((1, 3))
