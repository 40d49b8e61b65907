"""What the demo scene is drawn with: noise, ground materials, small patches and the canvas that takes them.

Lengths are metres and angles degrees unless a name says _px. Scene pixels have their origin at the outer corner of the
upper-left pixel, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Points = NDArray[np.float64]

SUPERSAMPLE = 4
# Metres of shadow per metre of height, (right, down) in the scene: the sun stands in the south-east, 52 degrees high.
SHADOW_M = np.array([-0.55, -0.55])
SELF_SHADE = [int(v * 0.55) for v in range(256)] * 3


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

    def _to_px(self, points_m: ArrayLike) -> Points:
        return (np.asarray(points_m, float) @ self._turn + self._origin) * SUPERSAMPLE

    def polygon(self, points_m: ArrayLike, colour: Colour, base_m: float = 0.0, top_m: float = 0.0) -> None:
        """Paint a polygon that reaches from base_m to top_m above the ground and throws the shadow of that body."""
        outline = self._to_px(points_m)
        if top_m > 0:
            _sweep(self._pens[2], outline + base_m * self._shift, (top_m - base_m) * self._shift)
            self._shade_self(outline, (top_m - base_m) * self._shift)
        self._pens[0].polygon(outline.ravel().tolist(), fill=colour)
        self._pens[1].polygon(outline.ravel().tolist(), fill=255)

    def _shade_self(self, outline: Points, shift: Points) -> None:
        """Darken what is already painted under the shadow, which falls a body's own height long."""
        both = np.concatenate([outline, outline + shift])
        left, top = np.maximum(both.min(0).astype(int) - 1, 0).tolist()
        right, bottom = np.minimum(both.max(0).astype(int) + 2, self._rgb.size).tolist()
        if right <= left or bottom <= top:
            return
        mask = Image.new("L", (right - left, bottom - top))
        _sweep(ImageDraw.Draw(mask), outline - (left, top), shift)
        region = self._rgb.crop((left, top, right, bottom))
        self._rgb.paste(region.point(SELF_SHADE), (left, top), mask)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, **height: float) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, **height)

    def disc(self, x: float, y: float, radius_m: float, colour: Colour, **height: float) -> None:
        self.polygon(circle(radius_m) + (x, y), colour, **height)

    def line(self, points_m: ArrayLike, width_m: float, colour: Colour, closed: bool = False) -> None:
        """Paint a line on the ground; thinner than a third of a metre it would vanish at common resolutions."""
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
        return paint, solid / 255, shadow / 255


def _sweep(pen: ImageDraw.ImageDraw, outline: Points, shift: Points) -> None:
    """Fill the area that an outline covers while it moves by shift: the shadow of an upright body."""
    moved = outline + shift
    sides = np.stack([outline, np.roll(outline, -1, 0), np.roll(moved, -1, 0), moved], axis=1)  # (N, 4, 2)
    for polygon in (outline, moved, *sides):
        pen.polygon(polygon.ravel().tolist(), fill=255)


def circle(radius_m: float, start_deg: float = 0.0, end_deg: float = 360.0, count: int = 36) -> Points:
    """(count, 2) points on an arc around the origin."""
    angles = np.deg2rad(np.linspace(start_deg, end_deg, count))
    return radius_m * np.stack([np.cos(angles), np.sin(angles)], axis=1)


# What a scene pixel is taken by: bits of Canvas.used.
FREE, OBJECT, PAVED, WATER = 0, 1, 2, 4
# Sunlight kept in a shadow: the blue sky still lights it.
SHADOW_LIGHT = np.array([0.36, 0.41, 0.48], np.float32)
NOISE_TILE_PX = 1024
COARSEST_M = 340.0


@dataclass(frozen=True, slots=True)
class Material:
    """A ground: its colour varies between low and high over tens of metres, its grain from pixel to pixel."""

    low: Colour
    high: Colour
    grain: float = 0.06
    takes: int = FREE
    rows_m: float = 0.0
    """Distance of sown rows or mown stripes; 0 for none."""
    rows_depth: float = 0.06
    ripples: float = 0.0


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of the truth: the tight box of its pixels, (x1, y1, x2, y2) with x2 and y2 the outer edges."""

    class_name: str
    box_xyxy: tuple[int, int, int, int]


def periodic_noise(rng: np.random.Generator, cells: tuple[int, int], size: int) -> NDArray[np.float32]:
    """(size, size) smooth noise around 0 from a random grid of (rows, columns); it repeats without a seam."""
    grid = np.pad(rng.standard_normal(cells, dtype=np.float32), 2, mode="wrap")
    step_y, step_x = size / cells[0], size / cells[1]
    box = (2.0, 2.0, 2.0 + cells[1], 2.0 + cells[0])
    assert step_y >= 1 and step_x >= 1, "a noise grid is finer than its image"
    return np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC, box=box))


def _fractal(rng: np.random.Generator, first: int, last: int, size: int, gain: float) -> NDArray[np.float32]:
    """Octaves of noise from `first` to `last` cells a side, each `gain` times as strong; unit variance."""
    total, strength, cells = np.zeros((size, size), np.float32), 1.0, first
    while cells <= last:
        total += strength * periodic_noise(rng, (cells, cells), size)
        strength, cells = strength * gain, cells * 2
    return (total - total.mean()) / total.std()


def _as_bytes(noise: NDArray[np.float32]) -> NDArray[np.int8]:
    """Noise of unit variance in steps of 1/40: a whole scene of it takes one byte a pixel."""
    return np.clip(noise * 40, -127, 127).astype(np.int8)


class Noise:
    """Three fields of unit variance for the whole scene: patches, grain and the ripples of water."""

    def __init__(self, size: int, gsd_m: float, rng: np.random.Generator) -> None:
        first = max(2, round(size * gsd_m / COARSEST_M))
        coarse = Image.fromarray(_fractal(rng, first, 32 * first, max(64 * first, size // 4), 0.72))
        self.coarse = _as_bytes(np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)))
        ripples = sum(periodic_noise(rng, cells, NOISE_TILE_PX) for cells in ((420, 110), (220, 60), (30, 12)))
        slanted = np.stack([np.roll(row, index) for index, row in enumerate(np.asarray(ripples))])
        repeat = -(-size // NOISE_TILE_PX)
        self.grain, self.ripples = (
            np.tile(_as_bytes(tile / tile.std()), (repeat, repeat))[:size, :size]
            for tile in (_fractal(rng, 64, 1024, NOISE_TILE_PX, 0.85), slanted)
        )


@dataclass(slots=True)
class Canvas:
    """The scene while it is painted, addressed in metres of a plan that is turned about the scene's centre."""

    size: int
    gsd_m: float
    turn_deg: float
    rng: np.random.Generator
    rgb: NDArray[np.uint8] = field(init=False)
    """(size, size, 3)"""
    used: NDArray[np.uint8] = field(init=False)
    """(size, size) bits: OBJECT, PAVED, WATER"""
    noise: Noise = field(init=False)
    objects: list[SceneObject] = field(default_factory=list)
    trees: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    """What to plant, from small to large, as layers for `lay`."""

    def __post_init__(self) -> None:
        self.rgb = np.zeros((self.size, self.size, 3), np.uint8)
        self.used = np.zeros((self.size, self.size), np.uint8)
        self.noise = Noise(self.size, self.gsd_m, self.rng)

    def to_px(self, points_m: ArrayLike) -> Points:
        """(N, 2) plan metres -> (N, 2) scene pixels."""
        angle, middle = np.deg2rad(self.turn_deg), self.size * self.gsd_m / 2
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return ((np.asarray(points_m, float) - middle) @ turn + middle) / self.gsd_m

    def at(self, x_m: float, y_m: float, heading_deg: float = 0.0) -> Place:
        x, y = self.to_px([(x_m, y_m)])[0]
        return Place(float(x), float(y), heading_deg + self.turn_deg, self.gsd_m)

    def fill(
        self, shapes_m: Sequence[ArrayLike], material: Material, *, line_m: float = 0.0, soft_m: float = 0.0,
        ragged: bool = False, opacity: float = 1.0, rows_deg: float = 0.0, only: int = 0,
    ) -> None:  # fmt: skip
        """Cover polygons, or lines of a width, with a ground.

        Args:
            shapes_m: each (N, 2), plan metres.
            line_m: above 0, the shapes are open lines of this width.
            soft_m: how far the edge is blurred.
            ragged: whether the blurred edge breaks up along the grain, as natural edges do.
            only: above 0, only pixels with one of these bits are covered.
        """
        outlines = [self.to_px(shape) for shape in shapes_m]
        pad = (line_m + 2 * soft_m) / self.gsd_m + 2
        corners = np.concatenate(outlines)
        left, top = np.maximum(np.floor(corners.min(0) - pad), 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(corners.max(0) + pad), self.size).astype(int).tolist()
        if right <= left or bottom <= top:
            return
        window = np.s_[top:bottom, left:right]
        cover = _cover([o - (left, top) for o in outlines], (right - left, bottom - top), line_m / self.gsd_m, soft_m / self.gsd_m)
        if ragged:
            cover = np.clip((cover - 0.5) * 4 + 0.5 + self.noise.grain[window] / 50, 0, 1) * (cover > 0.02)
        if only:
            cover = cover * ((self.used[window] & only) > 0)
        self._blend(window, material, cover * opacity, rows_deg)
        if material.takes or opacity == 1.0:
            self.used[window][cover > 0.5] = material.takes

    def _blend(self, window: tuple[slice, slice], material: Material, cover: NDArray[np.float32], rows_deg: float) -> None:
        share = np.clip(self.noise.coarse[window].astype(np.float32) / 160 + 0.5, 0, 1)
        light = 1 + self.noise.grain[window].astype(np.float32) * (material.grain / 40)
        if material.ripples:
            light += self.noise.ripples[window].astype(np.float32) * (material.ripples / 40)
        if material.rows_m:
            y, x = (np.arange(s.start, s.stop, dtype=np.float32) for s in window)
            angle, wave = np.deg2rad(rows_deg + self.turn_deg), 2 * np.pi * self.gsd_m / material.rows_m
            phase = (x * np.cos(angle) * wave)[None] + (y * np.sin(angle) * wave)[:, None] + share
            light += np.sin(phase.astype(np.float32)) * material.rows_depth
        for band, (low, high) in enumerate(zip(material.low, material.high, strict=True)):
            pixels = self.rgb[..., band][window]
            wanted = np.clip((low + (high - low) * share) * light, 0, 255)
            pixels[...] = pixels + (wanted - pixels) * cover

    def stamp(self, patch: Patch, class_name: str = "", on: int = 0, occupies: bool = True) -> bool:
        """Lay a patch on the scene; False where an object would overlap another, leave the scene or stand off its ground.

        Args:
            patch: the drawn object.
            class_name: with a name, the object enters the truth.
            on: the bit every pixel under the object must have; 0 for any ground.
            occupies: whether other objects keep off; a bridge carries vehicles.
        """
        paint, solid, shadow = patch.layers()
        rows, columns = np.nonzero(solid > 0.5)
        x1, x2, y1, y2 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
        box = (int(x1 + patch.left), int(y1 + patch.top), int(x2 + patch.left), int(y2 + patch.top))
        if min(box[:2]) < 0 or max(box[2:]) > self.size:
            return False
        under = self.used[box[1] : box[3], box[0] : box[2]]
        body = solid[y1:y2, x1:x2] > 0.5
        if np.any(under[body] & OBJECT) or (on and not np.all(under[body] & on)):
            return False
        dim = 1 - np.maximum(shadow - solid, 0)[..., None] * (1 - SHADOW_LIGHT)
        self.lay(dim * (1 - solid[..., None]), paint, patch.left, patch.top)
        if occupies:
            under[body] |= OBJECT
        if class_name:
            self.objects.append(SceneObject(class_name, box))
        return True

    def lay(self, keep: NDArray[np.float32], paint: NDArray[np.float32], left: int, top: int) -> None:
        """Scene = scene * keep + paint, both (h, w, 3), cut at the scene's border."""
        height, width = keep.shape[:2]
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, self.size), min(top + height, self.size)
        if x2 > x1 and y2 > y1:
            part = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
            self.rgb[y1:y2, x1:x2] = self.rgb[y1:y2, x1:x2] * keep[part] + paint[part]

    def is_free(self, x_m: float, y_m: float, margin_m: float = 1.0) -> bool:
        """Whether a point lies in the scene on ground that nothing takes."""
        x, y = self.to_px([(x_m, y_m)])[0]
        reach = margin_m / self.gsd_m
        if not (0 <= x < self.size and 0 <= y < self.size):
            return False
        return not self.used[max(0, int(y - reach)) : int(y + reach) + 1, max(0, int(x - reach)) : int(x + reach) + 1].any()


def _cover(outlines: list[Points], size: tuple[int, int], line_px: float, soft_px: float) -> NDArray[np.float32]:
    """(h, w) share of each pixel that lies in the polygons, or on the lines, 0..1."""
    mask = Image.new("L", (size[0] * 2, size[1] * 2))
    pen = ImageDraw.Draw(mask)
    for outline in outlines:
        flat = (outline * 2).ravel().tolist()
        if line_px:
            pen.line(flat, fill=255, width=max(1, round(line_px * 2)), joint="curve")
        else:
            pen.polygon(flat, fill=255)
    small = mask.reduce(2)
    if soft_px:
        small = small.filter(ImageFilter.GaussianBlur(soft_px))
    return np.asarray(small, np.float32) / 255


def develop(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The painted scene as a camera would give it: optics blur it, haze lifts the darks, the sensor adds noise."""
    blurred = np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(0.55)))
    out = np.empty_like(rgb)
    for top in range(0, len(rgb), 256):  # strips keep the float copies small
        strip = blurred[top : top + 256].astype(np.float32)
        strip = strip * np.array([0.93, 0.93, 0.91], np.float32) + np.array([9, 11, 14], np.float32)
        strip += rng.standard_normal(strip.shape[:2], dtype=np.float32)[..., None] * 2.2
        strip += rng.standard_normal(strip.shape, dtype=np.float32) * 1.4
        out[top : top + 256] = np.clip(strip + 0.5, 0, 255)
    return out
