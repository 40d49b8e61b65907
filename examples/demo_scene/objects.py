"""Draws the labelled objects of the demo scene; the sites place them.

Every function returns a Patch: the object seen from above, drawn in metres along its own axes (x forward, y to the
right) with its shadow. Shapes and colours follow what such objects look like in public aerial imagery; none
of that imagery is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo_scene.patch import (
    BOX_COLOURS,
    GLASS,
    LINE,
    SHADOW_M,
    WHITE,
    Colour,
    Patch,
    Place,
    Points,
    circle,
    mirrored,
    pick,
    tint,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AirplaneKind:
    """Sizes in metres; sweep is the distance of the wing tip behind the root, as a share of half the span."""

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
    body = pick(rng, (WHITE, (228, 230, 232), (214, 218, 222), (240, 238, 230)))
    accent = pick(rng, ((150, 44, 46), (40, 62, 120), (222, 224, 226), (196, 120, 44), (52, 96, 84), (60, 66, 80)))
    wing = tint(body, 0.9)
    radius = 0.052 * length if kind.engines != 4 else 0.055 * length
    for side in (1, -1):
        _wing(patch, kind, wing, side)
        tail = np.array([(-0.40, 0.0), (-0.475, 0.175), (-0.505, 0.175), (-0.495, 0.0)]) * (length, side * span)
        patch.polygon(tail, wing, base_m=0.11 * length, top_m=0.125 * length)
        if kind.tail_engines:
            nacelle = (0.02 - 0.36) * length, side * 0.085 * length
            patch.polygon(circle(1.0) * (0.065 * length, 0.026 * length) + nacelle, tint(body, 0.82))
    hull = mirrored([(0.5, 0.0), (0.487, 0.4), (0.455, 0.78), (0.40, 1.0), (-0.22, 1.0), (-0.38, 0.62), (-0.5, 0.12)])
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
        patch.polygon(
            circle(1.0) * (0.05 * length, 0.0235 * length) + nose, tint(colour, 0.86), 0.03 * length, 0.07 * length
        )
    patch.polygon(np.array(outline) * (1, side), colour, base_m=0.075 * length, top_m=0.085 * length)
    flap = np.array([(root - 0.9 * chord, 0.1 * half), (root - 0.36 * back - 0.62 * chord, 0.36 * half),
                     (root - back - 0.1 * chord, 0.96 * half)])  # fmt: skip
    patch.line(flap * (1, side), 0.012 * length, tint(colour, 0.82))


def ship(place: Place, length: float, kind: str, rng: np.random.Generator) -> Patch:
    """A cargo ship, tanker, container ship, ferry or (small) work boat, bow forward."""
    half = length * (0.075 if length > 60 else 0.12)
    height = 0.06 * length + 1
    patch = Patch(place, length, 2 * half, margin_m=0.25 * length + 4)
    deck, hull = pick(rng, SHIP_COLOURS[kind])
    outline = mirrored([(0.5, 0.0), (0.46, 0.36), (0.40, 0.72), (0.30, 1.0), (-0.42, 1.0), (-0.48, 0.86), (-0.5, 0.6)])
    patch.polygon(outline * (length, half), hull, base_m=0.0, top_m=height)
    patch.polygon(outline * (length * 0.985, half * 0.88), deck)
    _cargo(patch, kind, length, half, deck, height, rng)
    bridge_at, depth = {"ferry": (-0.36, 0.6 * length), "boat": (0.02, 0.16 * length)}.get(
        kind, (-0.43, 0.075 * length)
    )
    back = bridge_at * length
    for step, shrink in enumerate((1.0, 0.72)):
        side, top = 0.86 * half * shrink, height + 0.05 * length * (step + 1)
        house = tint(WHITE, 0.88 + 0.1 * step)
        patch.rect(back, -side, back + depth * shrink, side, house, base_m=height, top_m=top)
    patch.disc(back + 0.01 * length, 0.0, 0.2 * half, (70, 62, 60), base_m=height, top_m=height + 0.1 * length)
    return patch


SHIP_COLOURS: dict[str, tuple[tuple[Colour, Colour], ...]] = {
    "tanker": (((142, 66, 54), (92, 44, 40)), ((120, 84, 68), (60, 50, 50)), ((96, 112, 100), (66, 58, 56))),
    "bulk": (((126, 108, 92), (70, 52, 48)), ((134, 76, 60), (84, 46, 42)), ((112, 116, 112), (58, 62, 68))),
    "container": (((116, 112, 104), (52, 60, 76)), ((106, 84, 74), (90, 44, 42))),
    "ferry": (((206, 208, 206), (226, 228, 228)), ((180, 190, 182), (222, 222, 216))),
    "boat": (((186, 182, 172), (220, 220, 216)), ((132, 118, 98), (74, 86, 100)), ((152, 150, 146), (150, 62, 52))),
}


def _cargo(
    patch: Patch, kind: str, length: float, half: float, deck: Colour, height: float, rng: np.random.Generator
) -> None:
    """Deck equipment: hatches, pipes or containers."""
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
        for x in np.arange(-0.33 * length, 0.33 * length, 6.6):
            for y in np.arange(-0.8 * half, 0.75 * half, 2.6):
                colour, top = tint(pick(rng, BOX_COLOURS), rng.uniform(0.8, 1.15)), height + int(rng.integers(0, 4))
                patch.rect(x, y, x + 6.1, y + 2.4, colour, base_m=height, top_m=top)
    elif kind == "boat":
        patch.rect(-0.38 * length, -0.5 * half, -0.12 * length, 0.5 * half, tint(deck, 0.7))


def tank(place: Place, diameter: float, floating_roof: bool, rng: np.random.Generator) -> Patch:
    """A storage tank: a cone roof lit from one side, or a floating roof sunk below its wall."""
    radius, height = diameter / 2, 8 + 0.2 * diameter
    patch = Patch(place, diameter, diameter, margin_m=height)
    colour = pick(rng, (WHITE, WHITE, (224, 226, 224), (206, 208, 204), (216, 208, 190)))
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
    """The part of a tank's floor that its wall leaves in the sun: the disc, and the disc moved away from the sun."""
    angle = np.deg2rad(-heading_deg)
    shift = shift_scene_m @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    rim = circle(radius, count=73)
    points = np.concatenate(
        [rim[np.hypot(*(rim - shift).T) <= radius], (rim + shift)[np.hypot(*(rim + shift).T) <= radius]]
    )
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
    """A polygon with its corners cut off twice, which looks round at this resolution."""
    for part in (cut, cut * 0.8):
        nxt, last = np.roll(corners, -1, 0), np.roll(corners, 1, 0)
        corners = np.stack([corners + part * (last - corners), corners + part * (nxt - corners)], axis=1).reshape(-1, 2)
    return corners


def harbor_pier(place: Place, length: float, rng: np.random.Generator) -> Patch:
    """A walkway on piles with finger piers on both sides and boats in most of the berths."""
    reach = 13.0
    patch = Patch(place, length, 2 * reach + 3, margin_m=6)
    wood = pick(rng, ((150, 142, 128), (168, 162, 150), (128, 116, 100)))
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
    cover = pick(rng, (GLASS, (196, 192, 182), (52, 74, 120), (120, 122, 124), (226, 228, 228)))
    low, high = sorted(side * (start + (bow - start) * part) for part in (0.22, 0.55))
    patch.rect(x - 0.62 * half, low, x + 0.62 * half, high, cover, base_m=1.4, top_m=2.6)


def bridge(place: Place, length: float, width: float) -> Patch:
    """A road bridge: a light concrete deck with parapets, six metres above the water."""
    patch = Patch(place, length, width, margin_m=7)
    concrete = (166, 162, 154)
    patch.rect(-length / 2, -width / 2, length / 2, width / 2, concrete, base_m=3.5, top_m=6.5)
    patch.rect(-length / 2, -width / 2 + 1.8, length / 2, width / 2 - 1.8, (126, 124, 120))
    for side in (-1, 1):
        patch.line(
            [(-length / 2, side * (width / 2 - 0.4)), (length / 2, side * (width / 2 - 0.4))], 0.6, (206, 203, 194)
        )
        patch.line([(-length / 2, side * (width / 2 - 2.2)), (length / 2, side * (width / 2 - 2.2))], 0.25, LINE)
    for at in np.arange(-length / 2 + 2, length / 2 - 4, 8.0):
        patch.line([(at, 0), (at + 4, 0)], 0.3, LINE)
    for at in np.arange(-length / 2, length / 2 + 1, max(12.0, length / 5)):
        patch.line([(at, -width / 2), (at, width / 2)], 0.35, (92, 90, 88))  # joints between the spans
    return patch
