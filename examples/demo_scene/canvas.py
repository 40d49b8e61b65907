"""The canvas of the demo scene: noise, ground materials, the canvas itself, and the camera model at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

from demo_scene.patch import SHADOW_LIGHT, Colour, Patch, Place, Points

# What occupies a scene pixel: bits of Canvas.used.
FREE, OBJECT, PAVED, WATER, OPEN = 0, 1, 2, 4, 8  # open ground is kept clear of trees
NOISE_TILE_PX = 1024
STRIP_PX = 128  # windows are processed in strips that fit into the processor's cache
POINT_SPREAD = (1, 5, 1, 5, 26, 5, 1, 5, 1)  # a Gaussian of 0.55 pixels
HAZE = np.array([9, 11, 14], np.float32)
HAZE_LEAVES = np.array([0.93, 0.93, 0.91], np.float32)
COARSEST_M = 340.0


@dataclass(frozen=True, slots=True)
class Material:
    """A ground material: colour between low and high over tens of metres, grain from pixel to pixel."""

    low: Colour
    high: Colour
    grain: float = 0.06
    takes: int = FREE
    rows_m: float = 0.0
    """Spacing of sown rows or mown stripes; 0 for none."""
    rows_depth: float = 0.035
    ripples: float = 0.0


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of the ground truth: the tight box of its pixels, (x1, y1, x2, y2) with x2 and y2 the outer edges."""

    class_name: str
    box_xyxy: tuple[int, int, int, int]


def periodic_noise(rng: np.random.Generator, cells: tuple[int, int], size: int) -> NDArray[np.float32]:
    """(size, size) smooth noise around 0 from a random grid of (rows, columns); it tiles seamlessly."""
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
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def _as_bytes(noise: NDArray[np.float32]) -> NDArray[np.int8]:
    """Noise of unit variance in steps of 1/40, one byte per pixel."""
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
    """The scene while it is painted, addressed in metres of a plan that is rotated about the scene's centre."""

    size: int
    gsd_m: float
    turn_deg: float
    rng: np.random.Generator
    rgb: NDArray[np.uint8] = field(init=False)
    """(size, size, 3)"""
    used: NDArray[np.uint8] = field(init=False)
    """(size, size) bits: OBJECT, PAVED, WATER, OPEN"""
    turn: Points = field(init=False)
    """(2, 2) rotation by turn_deg, for points as rows"""
    noise: Noise = field(init=False)
    objects: list[SceneObject] = field(default_factory=list)
    trees: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    """What to plant, from small to large, as layers for `lay`."""

    def __post_init__(self) -> None:
        self.rgb = np.zeros((self.size, self.size, 3), np.uint8)
        self.used = np.zeros((self.size, self.size), np.uint8)
        self.noise = Noise(self.size, self.gsd_m, self.rng)
        angle = np.deg2rad(self.turn_deg)
        self.turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def to_px(self, points_m: ArrayLike) -> Points:
        """(N, 2) plan metres -> (N, 2) scene pixels."""
        middle = self.size * self.gsd_m / 2
        return ((np.asarray(points_m, float) - middle) @ self.turn + middle) / self.gsd_m

    def at(self, x_m: float, y_m: float, heading_deg: float = 0.0) -> Place:
        x, y = self.to_px([(x_m, y_m)])[0]
        return Place(float(x), float(y), heading_deg + self.turn_deg, self.gsd_m)

    def fill(
        self, shapes_m: Sequence[ArrayLike], material: Material, *, line_m: float = 0.0, soft_m: float = 0.0,
        ragged: bool = False, opacity: float = 1.0, rows_deg: float = 0.0, only: int = 0,
    ) -> None:  # fmt: skip
        """Cover polygons, or lines of a given width, with a ground material.

        Args:
            shapes_m: each (N, 2), plan metres.
            line_m: above 0, the shapes are open lines of this width.
            soft_m: how far the edge is blurred.
            ragged: whether the blurred edge breaks up along the grain, as natural edges do.
            only: above 0, only pixels with this bit, and with no object on them, are covered.
        """
        outlines = [self.to_px(shape) for shape in shapes_m]
        pad = (line_m + 2 * soft_m) / self.gsd_m + 2
        corners = np.concatenate(outlines)
        left, top = np.maximum(np.floor(corners.min(0) - pad), 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(corners.max(0) + pad), self.size).astype(int).tolist()
        if right <= left or bottom <= top:
            return
        size, shift = (right - left, bottom - top), (left, top)
        cover = _cover([o - shift for o in outlines], size, line_m / self.gsd_m, soft_m / self.gsd_m)
        for y in range(top, bottom, STRIP_PX):
            window = np.s_[y : min(y + STRIP_PX, bottom), left:right]
            part = cover[y - top : y - top + STRIP_PX]
            if ragged:
                broken = (part - 0.5) * 4 + 0.5 + self.noise.grain[window].astype(np.float32) / 50
                part = np.where(part > 0.02, np.clip(broken, 0, 1), np.float32(0))
            if only:
                part = np.where((self.used[window] & (only | OBJECT)) == only, part, np.float32(0))
            self._blend(window, material, part * opacity, rows_deg)
            if opacity == 1.0:
                self.used[window][part > 0.5] = material.takes

    def _blend(
        self, window: tuple[slice, slice], material: Material, cover: NDArray[np.float32], rows_deg: float
    ) -> None:
        """Mix a material into a window by its cover, (h, w) 0..1; where that is sparse, only in the covered pixels."""
        pixels: tuple[slice, slice] | tuple[NDArray[np.intp], ...] = window
        y, x = np.ogrid[window]
        if np.count_nonzero(cover) < 0.6 * cover.size:
            covered = np.nonzero(cover > 0)
            y, x = covered[0] + window[0].start, covered[1] + window[1].start
            pixels, cover = (y, x), cover[covered]
        share = np.clip(self.noise.coarse[pixels].astype(np.float32) / 160 + 0.5, 0, 1)
        light = 1 + self.noise.grain[pixels].astype(np.float32) * (material.grain / 40)
        if material.ripples:
            light += self.noise.ripples[pixels].astype(np.float32) * (material.ripples / 40)
        if material.rows_m:
            angle, wave = np.deg2rad(rows_deg + self.turn_deg), 2 * np.pi * self.gsd_m / material.rows_m
            phase = (x * (np.cos(angle) * wave)).astype(np.float32) + (y * (np.sin(angle) * wave)).astype(np.float32)
            light += np.sin(phase + share) * material.rows_depth
        for band, (low, high) in enumerate(zip(material.low, material.high, strict=True)):
            layer = self.rgb[..., band]
            wanted = np.clip((low + (high - low) * share) * light, 0, 255)
            layer[pixels] = layer[pixels] * (1 - cover) + wanted * cover

    def stamp(self, patch: Patch, class_name: str = "", on: int = 0, occupies: bool = True) -> bool:
        """Put a patch on the scene; False if it would overlap an object, leave the scene or be on unsuitable ground.

        Args:
            patch: the drawn object.
            class_name: if given, the object is added to the ground truth.
            on: every pixel under the object must have one of these bits; 0 for any ground.
            occupies: whether other objects may not overlap it; a bridge carries vehicles.
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
        """Scene = scene * keep + paint, both (h, w, 3), clipped to the scene."""
        height, width = keep.shape[:2]
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, self.size), min(top + height, self.size)
        if x2 > x1 and y2 > y1:
            part = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
            self.rgb[y1:y2, x1:x2] = self.rgb[y1:y2, x1:x2] * keep[part] + paint[part]

    def is_free(self, x_m: float, y_m: float, margin_m: float = 1.0) -> bool:
        """Whether a point is in the scene on free ground."""
        x, y = self.to_px([(x_m, y_m)])[0]
        reach = margin_m / self.gsd_m
        if not (0 <= x < self.size and 0 <= y < self.size):
            return False
        return not self.used[
            max(0, int(y - reach)) : int(y + reach) + 1, max(0, int(x - reach)) : int(x + reach) + 1
        ].any()


def _cover(outlines: list[Points], size: tuple[int, int], line_px: float, soft_px: float) -> NDArray[np.float32]:
    """(h, w) share of each pixel that is inside the polygons, or on the lines, 0..1."""
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
        small = small.filter(ImageFilter.BoxBlur(soft_px))
    return np.asarray(small, np.float32) / np.float32(255)


def develop(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The painted scene as a camera would record it: blurred by optics, with haze in the darks and sensor noise."""
    blurred = np.asarray(Image.fromarray(rgb).filter(ImageFilter.Kernel((3, 3), POINT_SPREAD)))
    out = np.empty_like(rgb)
    # Colour noise is drawn once and rolled for each strip: drawing it again would take a second.
    colour_noise = rng.standard_normal((STRIP_PX, rgb.shape[1], 3), dtype=np.float32) * 1.4 + (HAZE + 0.5)
    for top in range(0, len(rgb), STRIP_PX):
        strip = blurred[top : top + STRIP_PX] * HAZE_LEAVES
        strip += np.roll(colour_noise, int(rng.integers(rgb.shape[1])), axis=1)[: len(strip)]
        strip += rng.standard_normal(strip.shape[:2], dtype=np.float32)[..., None] * 2.2
        out[top : top + STRIP_PX] = np.clip(strip, 0, 255)
    return out
