"""Chips of one scene: the labels on it, and what each tile shows of them on either side of the split."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from lcageo.chips.blocks import BlockPlane, BlockSplit
from lcageo.chips.config import ChipConfig
from lcageo.chips.labels import Labels
from lcageo.config import overlap_pixels
from lcageo.data.augment import AugmentConfig
from lcageo.errors import DataError, SceneError, UsageError
from lcageo.inference.plan import aoi_from_file
from lcageo.plural import rounded
from lcageo.scene.aoi import AreaOfInterest, in_all_turns, surroundings
from lcageo.scene.describe import MAX_ENLARGEMENT, SceneInfo
from lcageo.scene.prefetch import TileReader, open_reader
from lcageo.scene.raster import Scene
from lcageo.scene.tiles import Scale, Tile, TileGrid, check_tiles, plan_tiles
from lcageo.transform import no_way
from lcageo.vector.reproject import Move, mover

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
MIN_SHOWN = 0.5
"""Minimum share of a chip without objects that must show the scene: there is little to learn from less."""
MIN_PART_PX = 0.5
"""Ignored parts of labels thinner than this, chip pixels, are left out: a file's rounding would leave them no area."""
NEAR_BORDER = 0.02
"""Share of a block: a tile crosses no border if a lattice of its positions stays further than this from all."""
_LATTICE = np.linspace(0.0, 1.0, 9)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedScene:
    """A scene with its tiles and the labels on it."""

    info: SceneInfo
    crs: pyproj.CRS
    pixel_size_m: tuple[float, float]
    grid: TileGrid
    aoi: AreaOfInterest | None
    index: NDArray[np.int64]
    """(M,) indices of the labels."""
    boxes_xyxy: FloatArray
    """(M, 4) their boxes, scene pixels."""

    @property
    def chip_gsd_m(self) -> float:
        """Ground sampling distance of its chips, metres per pixel."""
        return math.sqrt(math.prod(self.pixel_size_m) * math.prod(self.grid.scale))

    def with_labels(self) -> Mask:
        """(tiles,) True where a label's box overlaps a tile."""
        found = np.zeros(len(self.grid), np.bool_)
        tiles = self.grid.bounds()
        for x1, y1, x2, y2 in self.boxes_xyxy.tolist():
            found |= (tiles[:, 0] < x2) & (tiles[:, 2] > x1) & (tiles[:, 1] < y2) & (tiles[:, 3] > y1)
        return found

    def warnings(self) -> tuple[str, ...]:
        """Messages about the scene and the area in it."""
        return (*self.info.warnings(), *(() if self.aoi is None else self.aoi.warnings))

    def wanted(self) -> Mask:
        """(tiles,) True where a tile overlaps the area of interest."""
        return np.ones(len(self.grid), np.bool_) if self.aoi is None else self.aoi.meets(self.grid.bounds())

    def shown(self) -> Mask:
        """(M,) True where a label's centre is in the area of interest."""
        return np.ones(len(self.index), np.bool_) if self.aoi is None else self.aoi.holds_centre(self.boxes_xyxy)

    def inside(self, columns: FloatArray, rows: FloatArray) -> Mask:
        """Whether scene pixels are in the area of interest, same shape."""
        if self.aoi is None:
            return np.ones(columns.shape, np.bool_)
        boxes = np.stack([columns, rows, columns, rows], axis=-1).reshape(-1, 4)
        return self.aoi.holds_centre(boxes).reshape(columns.shape)

    def to_plane(self, plane: BlockPlane) -> Move:
        """A function that converts scene pixels to the plane of the blocks."""
        to_map, move = self.info.georeference.to_map, plane.mover(self.crs)
        return lambda columns, rows: move(*to_map(columns, rows))


def place_scene(scene: Scene, labels: Labels, config: ChipConfig) -> PlacedScene:
    """Finds the labels on a scene.

    Raises:
        SceneError: if the scene is not georeferenced, or has too many tiles.
        UsageError: if it would be enlarged too much, or the area of interest does not overlap it.
        DataError: if the labels cannot be transformed to its CRS.
    """
    info, crs = scene.info, scene.info.georeference.crs
    if crs is None or info.pixel_size_m is None or info.square_gsd_m is None:
        raise SceneError(f"{info.warnings()[0]}: labels cannot be placed on it")
    scale = _scale(info, info.pixel_size_m, info.square_gsd_m, config)
    overlap = overlap_pixels(config.overlap, config.size)
    check_tiles(info, config.size - overlap, scale)
    try:
        around = in_all_turns(surroundings(info, crs, labels.crs), labels.crs)
        index, boxes = labels.boxes(around, _to_pixels(info, labels.crs, crs))
    except pyproj.exceptions.ProjError as error:
        raise DataError(no_way(f"--labels '{labels.layer.name}'", labels.crs, crs)) from error
    is_point = (boxes[:, 2:] == boxes[:, :2]).all(axis=1)  # polygons have an area
    half = (config.point_size_m or 0.0) / 2 / np.array(info.pixel_size_m * 2) * np.array([-1, -1, 1, 1])
    boxes[is_point] += half
    inside = (boxes[:, :2] < [info.width, info.height]).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    grid = plan_tiles(info.width, info.height, config.size, overlap, scale)
    aoi = None if config.aoi is None else aoi_from_file(config.aoi, info)
    return PlacedScene(info, crs, info.pixel_size_m, grid, aoi, index[inside], boxes[inside])


def _to_pixels(info: SceneInfo, labels_crs: pyproj.CRS, crs: pyproj.CRS) -> Move:
    """A function that converts positions of labels to pixels of a scene, in this CRS."""
    to_map, to_pixel = mover(labels_crs, crs, info.centre()[0]), info.georeference.to_pixel
    return lambda xs, ys: to_pixel(*to_map(xs, ys))


def _scale(info: SceneInfo, pixel_size_m: tuple[float, float], own: float, config: ChipConfig) -> Scale:
    """Scene pixels per chip pixel; a chip's pixels are square on the ground."""
    target = own if config.gsd_m is None else config.gsd_m
    if config.gsd_m is not None and own / config.gsd_m > MAX_ENLARGEMENT:
        raise UsageError(
            f"--gsd {config.gsd_m:g} would enlarge scene '{info.path}' ({rounded(own)} m per pixel) "
            f"{own / config.gsd_m:,.0f} times; use at least {rounded(own / MAX_ENLARGEMENT)}"
        )
    if info.has_square_pixels:
        return target / own, target / own
    return target / pixel_size_m[0], target / pixel_size_m[1]


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """What a tile shows on one side of the split."""

    tile: Tile
    validates: bool
    pixels: NDArray[np.uint8]
    """(3, size, size); pixels that belong to the other side, or have no data, have the fill colour."""
    index: NDArray[np.int64]
    """(M,) indices of the labels that show."""
    boxes_xyxy: FloatArray
    """(M, 4) the visible parts of their boxes, chip pixels."""
    ignored: Mask
    """(M,) True where too little of a label is visible."""

    @property
    def has_objects(self) -> bool:
        """Whether any label shows well enough."""
        return bool((~self.ignored).any())


@dataclass(frozen=True, slots=True, eq=False)
class ChipCutter:
    """Cuts chips from an open scene. Thread-safe."""

    placed: PlacedScene
    reader: TileReader
    split: BlockSplit
    owner: Mask
    """(M,) True for the scene's labels that belong to validation."""
    min_visible: float

    def cut(self, tile: Tile) -> Iterator[Chip]:
        """A tile's chips: one, two where it crosses a border of the split, none where nothing useful shows.

        A label belongs to the side where its centre is; its box is blanked on the other side.

        Raises:
            SceneError: if the scene cannot be read there.
        """
        seen = self.reader.read_with_mask(tile)
        if seen is None:
            return
        image, shown = seen
        if self.placed.aoi is not None:
            shown &= self.placed.inside(*self._centres(tile))
        validating = self.validating(tile)
        boxes = (self.placed.boxes_xyxy - np.tile(tile.bounds[:2], 2)) / np.tile(tile.scale, 2)
        near = np.flatnonzero((boxes[:, :2] < self.reader.tile_size).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))
        for side in (False, True):
            visible = shown & (validating == side)
            for box in boxes[near[self.owner[near] != side]]:
                visible[_pixels(box)] = False
            own = near[self.owner[near] == side]
            chip = self._chip(tile, side, image, visible, own, boxes[own])
            if chip.has_objects or (not len(near) and visible.sum() >= MIN_SHOWN * tile.width * tile.height):
                yield chip

    def _chip(
        self, tile: Tile, side: bool, image: NDArray[np.uint8], visible: Mask, own: NDArray[np.int64], boxes: FloatArray
    ) -> Chip:
        parts = [visible_part(visible, box) for box in boxes]
        shares = np.array([share for share, _ in parts])
        shapes = np.array([part for _, part in parts], np.float64).reshape(-1, 4)
        fill = np.array(self.reader.fill, np.uint8)[:, None, None]
        pixels = np.where(visible, image, fill)
        ignored = np.asarray(shares < self.min_visible, np.bool_)
        some = (shares > 0) & ~(ignored & ((shapes[:, 2:] - shapes[:, :2]).min(axis=1, initial=np.inf) < MIN_PART_PX))
        return Chip(tile, side, pixels, self.placed.index[own[some]], shapes[some], ignored[some])

    def validating(self, tile: Tile) -> Mask:
        """(size, size) True for pixels in validation blocks; (1, 1) if all pixels agree."""
        to_plane = self.placed.to_plane(self.split.plane)
        x1, y1, x2, y2 = tile.bounds
        xs, ys = to_plane(*np.meshgrid(x1 + (x2 - x1) * _LATTICE, y1 + (y2 - y1) * _LATTICE))
        positions = self.split.positions(xs, ys)
        if all(np.floor(axis.min() - NEAR_BORDER) == np.floor(axis.max() + NEAR_BORDER) for axis in positions):
            return self.split.validates(xs[:1, :1], ys[:1, :1])
        return self.split.validates(*to_plane(*self._centres(tile)))

    def _centres(self, tile: Tile) -> tuple[FloatArray, FloatArray]:
        """Columns and rows of all pixels' centres, (size, size), scene pixels."""
        steps = np.arange(self.reader.tile_size) + 0.5
        columns, rows = np.meshgrid(tile.bounds[0] + steps * tile.scale[0], tile.bounds[1] + steps * tile.scale[1])
        return columns, rows


def open_cutter(scene: Scene, placed: PlacedScene, split: BlockSplit, owner: Mask, config: ChipConfig) -> ChipCutter:
    """A cutter that reads the scene as `detect` does; `owner`: (N,) True for validation. Errors as in open_reader."""
    reader = open_reader(scene, config.stretch, config.edge_nodata, config.size, AugmentConfig().fill)
    return ChipCutter(placed, reader, split, owner[placed.index], config.min_visible)


def visible_part(visible: Mask, box: FloatArray) -> tuple[float, FloatArray]:
    """The share of a box that is visible in a chip, and the box of the visible part.

    Args:
        visible: (size, size) bool.
        box: x1, y1, x2, y2, chip pixels; may extend beyond the chip.
    """
    part = visible[_pixels(box)]
    if not part.any():
        return 0.0, box
    cut = np.clip(box, 0, visible.shape[0])
    share = (cut[2:] - cut[:2]).prod() / (box[2:] - box[:2]).prod() * part.mean()
    if not part.all():
        rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
        left, top = np.floor(cut[:2])
        seen = np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1])
        cut = np.concatenate([np.maximum(cut[:2], seen[:2]), np.minimum(cut[2:], seen[2:])])
    return float(share), cut


def _pixels(box: FloatArray) -> tuple[slice, slice]:
    """The rows and columns that a box touches."""
    left, top = np.floor(np.maximum(box[:2], 0)).astype(int)
    right, bottom = np.ceil(np.maximum(box[2:], 0)).astype(int)
    return slice(top, bottom), slice(left, right)
