"""Draws the surroundings of the demo scene's streets: vehicles, houses, sheds and trees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from demo_scene.patch import (
    BOX_COLOURS,
    GLASS,
    SHADOW_LIGHT,
    SHADOW_M,
    SUPERSAMPLE,
    WHITE,
    Colour,
    Patch,
    Place,
    mirrored,
    pick,
    tint,
)  # fmt: skip

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
        patch.rect(
            -half, -side, half - 2.8, side, pick(rng, (WHITE, (200, 202, 200), *BOX_COLOURS)), base_m=0.0, top_m=3.8
        )
        patch.rect(half - 2.4, -side * 0.95, half, side * 0.95, pick(rng, CAR_PAINTS), base_m=0.0, top_m=3.0)
        patch.rect(half - 2.8, -side * 0.4, half - 2.4, side * 0.4, GLASS)
        patch.rect(half - 0.5, -side * 0.8, half - 0.1, side * 0.8, GLASS)
        return patch
    paint = pick(rng, CAR_PAINTS)
    hull = mirrored([(1.0, 0.0), (0.98, 0.7), (0.88, 0.97), (-0.9, 0.97), (-1.0, 0.8)])
    patch.polygon(hull * (half, side), paint, base_m=0.0, top_m=1.4)
    patch.rect(0.12 * length, -side * 0.78, 0.25 * length, side * 0.78, GLASS)
    patch.rect(-0.4 * length, -side * 0.72, -0.3 * length, side * 0.72, GLASS)
    patch.rect(-0.3 * length, -side * 0.7, 0.12 * length, side * 0.7, tint(paint, 1.08))
    return patch


def house(place: Place, length: float, width: float, roof: Colour, rng: np.random.Generator) -> Patch:
    """A house with a gabled roof, one slope in the sun and one in the shade."""
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
    roof = pick(rng, ((176, 176, 172), (204, 205, 202), (148, 146, 142), (128, 134, 138), (166, 150, 136)))
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
        light[inside] = np.maximum(0.45, 1.1 + sun * 1.2 + rng.normal(0, 0.1))[inside]
        crown |= inside
    colour = np.array(pick(rng, ((62, 82, 46), (54, 76, 46), (72, 86, 48), (50, 68, 42), (76, 88, 54)))) * rng.uniform(
        0.85, 1.1
    )
    shift = np.round(SHADOW_M * radius * 1.5 / step).astype(int)
    shadow = np.roll(crown, (shift[1], shift[0]), (0, 1))
    solid, shaded, bright = (_shrink(layer.astype(np.float32)) for layer in (crown, shadow & ~crown, light * crown))
    keep = (1 - shaded[..., None] * (1 - SHADOW_LIGHT)) * (1 - solid[..., None])
    return keep.astype(np.float32), (bright[..., None] * colour).astype(np.float32)


def _shrink(layer: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of every SUPERSAMPLE x SUPERSAMPLE block."""
    height, width = (side // SUPERSAMPLE for side in layer.shape)
    blocks = layer.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE)
    return np.asarray(blocks.mean((1, 3)), np.float32)
