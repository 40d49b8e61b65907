"""Patch: a small drawing of one object in metres, with its shadow; and the colours that objects share.

Lengths are metres and angles degrees unless a name says _px. Scene pixels have their origin at the outer corner of the
upper-left pixel, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Points = NDArray[np.float64]
SUPERSAMPLE = 4
# Metres of shadow per metre of height, (right, down) in the scene: the sun stands in the south-east, 52 degrees high.
SHADOW_M = np.array([-0.55, -0.55])
# Share of light left in a shadow, which the blue sky still lights.
SHADOW_LIGHT = np.array([0.36, 0.41, 0.48], np.float32)
SELF_SHADE = (140, 140, 140)
WHITE: Colour = (236, 237, 235)
LINE: Colour = (205, 207, 200)
GLASS: Colour = (38, 44, 52)
BOX_COLOURS: tuple[Colour, ...] = (
    (146, 66, 52), (60, 84, 118), (168, 164, 156), (88, 108, 84), (176, 128, 66), (110, 70, 62),
    (74, 78, 84), (196, 196, 192),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object stands: centre in scene pixels, heading clockwise from the right, metres per pixel."""

    x_px: float
    y_px: float
    heading_deg: float
    gsd_m: float


class Patch:
    """A small drawing of (length_m, width_m) around a place; margin_m leaves room for the shadow."""

    def __init__(self, place: Place, length_m: float, width_m: float, margin_m: float = 1.0) -> None:
        angle = np.deg2rad(place.heading_deg)
        self._turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / place.gsd_m
        half = np.abs([length_m / 2, width_m / 2] @ np.abs(self._turn)) + margin_m / place.gsd_m + 1
        self.left, self.top = (int(np.floor(c - h)) for c, h in zip((place.x_px, place.y_px), half, strict=True))
        size = [int(2 * h) + 2 for h in half]
        self._origin = np.array([place.x_px - self.left, place.y_px - self.top])
        self._shift = SHADOW_M / place.gsd_m * SUPERSAMPLE
        big = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
        self._rgb, self._solid, self._shadow = (Image.new(mode, big) for mode in ("RGB", "L", "L"))
        self._pens = [ImageDraw.Draw(layer) for layer in (self._rgb, self._solid, self._shadow)]
        self._px_per_m = SUPERSAMPLE / place.gsd_m
        self._is_empty = True

    def _to_px(self, points_m: ArrayLike) -> Points:
        points: Points = (np.asarray(points_m, float) @ self._turn + self._origin) * SUPERSAMPLE
        return points

    def polygon(self, points_m: ArrayLike, colour: Colour, base_m: float = 0.0, top_m: float = 0.0) -> None:
        """Paint a polygon that extends from base_m to top_m above the ground, with the shadow of that body."""
        outline = self._to_px(points_m)
        if top_m > 0:
            _sweep(self._pens[2], outline + base_m * self._shift, (top_m - base_m) * self._shift)
            self._shade_self(outline, (top_m - base_m) * self._shift)
        self._is_empty = False
        self._pens[0].polygon(outline.ravel().tolist(), fill=colour)
        self._pens[1].polygon(outline.ravel().tolist(), fill=255)

    def _shade_self(self, outline: Points, shift: Points) -> None:
        """Darken the paint under the shadow that the body casts on itself."""
        both = np.concatenate([outline, outline + shift])
        left, top = np.maximum(both.min(0).astype(int) - 1, 0).tolist()
        right, bottom = np.minimum(both.max(0).astype(int) + 2, self._rgb.size).tolist()
        if right <= left or bottom <= top or self._is_empty:
            return
        mask = Image.new("L", (right - left, bottom - top))
        _sweep(ImageDraw.Draw(mask), outline - (left, top), shift)
        region = self._rgb.crop((left, top, right, bottom))
        shaded = ImageChops.multiply(region, Image.new("RGB", region.size, SELF_SHADE))
        self._rgb.paste(shaded, (left, top), mask)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, **height: float) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, **height)

    def disc(self, x: float, y: float, radius_m: float, colour: Colour, **height: float) -> None:
        self.polygon(circle(radius_m) + (x, y), colour, **height)

    def line(self, points_m: ArrayLike, width_m: float, colour: Colour, closed: bool = False) -> None:
        """Paint a line on the ground; thinner than a third of a metre, it would vanish at common resolutions."""
        points = np.asarray(points_m, float)
        points = np.concatenate([points, points[:1]]) if closed else points
        width = max(1, round(width_m * self._px_per_m))
        for pen, fill in ((self._pens[0], colour), (self._pens[1], 255)):
            pen.line(self._to_px(points).ravel().tolist(), fill=fill, width=width, joint="curve")

    def layers(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """(h, w, 3) colour times cover 0..255, (h, w) cover 0..1 and (h, w) shadow 0..1, at the scene's resolution."""
        paint, solid, shadow = (
            np.asarray(layer.reduce(SUPERSAMPLE), np.float32) for layer in (self._rgb, self._solid, self._shadow)
        )
        return paint, solid / np.float32(255), shadow / np.float32(255)


def _sweep(pen: ImageDraw.ImageDraw, outline: Points, shift: Points) -> None:
    """Fill the area that an outline sweeps while it moves by `shift`: the shadow of an upright body."""
    moved = outline + shift
    sides = np.stack([outline, np.roll(outline, -1, 0), np.roll(moved, -1, 0), moved], axis=1)  # (N, 4, 2)
    for polygon in (outline, moved, *sides):
        pen.polygon(polygon.ravel().tolist(), fill=255)


def circle(radius_m: float, start_deg: float = 0.0, end_deg: float = 360.0, count: int = 36) -> Points:
    """(count, 2) points on an arc around the origin."""
    angles = np.deg2rad(np.linspace(start_deg, end_deg, count))
    return radius_m * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def tint(colour: Sequence[int], factor: float) -> Colour:
    """The colour made brighter or darker."""
    red, green, blue = (int(np.clip(v * factor, 0, 255)) for v in colour)
    return red, green, blue


def pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def mirrored(half: Sequence[tuple[float, float]]) -> Points:
    """A closed outline from its right half (y >= 0), mirrored at the x axis."""
    right = np.asarray(half, float)
    return np.concatenate([right, right[::-1] * (1, -1)])
