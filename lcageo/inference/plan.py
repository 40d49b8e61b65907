"""What is read of a scene, and how: resolution, tiles, stretch and area, decided before any tile is read.

One resolution cannot show a model cars of ten pixels and track fields of a thousand, so a scene may be read in several
passes. A pass is a plan of its own: tiles of the same size at another resolution, and the lengths of the objects that
it reports. The lengths of two passes overlap, so that an object whose length they measure differently is not lost
between them; what both report is merged as the boxes of two tiles are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.config import MAX_OVERLAP, NATIVE_GSD, DetectConfig, Passes, overlap_pixels
from lcageo.errors import UsageError
from lcageo.plural import rounded
from lcageo.runtime.catalog import ModelCard
from lcageo.scene.aoi import AreaOfInterest, aoi_from_bbox, aoi_in_pixels
from lcageo.scene.describe import MAX_ENLARGEMENT, SceneInfo
from lcageo.scene.edges import edge_note
from lcageo.scene.prefetch import TileReader, open_reader
from lcageo.scene.raster import Scene
from lcageo.scene.servers.cost import fetching_note
from lcageo.scene.stretch import Stretch, parse_stretch, stretch_note
from lcageo.scene.tiles import Scale, Tile, TileGrid, check_tiles, plan_tiles

NATIVE_TOLERANCE = 0.005
"""A resolution this close to the scene's own counts as equal: UTM alone varies by 0.04 to 0.1 % across a zone."""
COARSE, FINE = 0.5, 2.0
"""Tile pixels of the second and the third pass per tile pixel of the first: the second takes a quarter of the first
one's time, the third four times as much."""
FINE_OVERLAP = 2
"""Overlap of the third pass's tiles in lengths of its largest objects, so that most are seen whole and with what lies
around them. Measured with lca-s, see models/README.md: more finds no more, 1.5 costs 0.004 of mAP50 on DIOR."""
WORTH_PX = 4_000_000
"""Tile pixels that larger tiles must save: about as many as the network sees while a graph is loaded. Each size has its
own, and another pass may need that of the other size, too."""
SERVED_PX = (12.0, 240.0)
"""Lengths of the objects that one pass serves, if the card does not say.

Measured with lca-s on validation images of vhr10, HRSC2016 and DIOR, see models/README.md.
"""
SHARED_LARGE, SHARED_SMALL = 2.0, 4 / 3
"""Ratios of the longest to the shortest objects that two neighbouring passes both report."""


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """What is read of a scene, and how, in one pass and perhaps in further ones."""

    reader: TileReader
    grid: TileGrid
    wanted: NDArray[np.bool_]
    """(tiles,) True where a tile intersects the area of interest."""
    aoi: AreaOfInterest | None
    warnings: tuple[str, ...]
    lengths_px: tuple[float, float] = (0.0, inf)
    """Lengths of the objects that this pass reports, the second excluded; tile pixels of the first pass."""
    first: int = 0
    """Number of its first tile, counted over all passes."""
    further: tuple[ScenePlan, ...] = ()
    """Passes at other resolutions."""
    near_small: bool = False
    """Whether this pass only needs those of the wanted tiles in which the first pass has found a small object."""

    @property
    def passes(self) -> tuple[ScenePlan, ...]:
        """This pass and the further ones."""
        return (self, *self.further)

    @property
    def all_tiles(self) -> int:
        """Number of tiles of all passes."""
        return sum(len(one.grid) for one in self.passes)

    @property
    def outside_tiles(self) -> int:
        """Number of tiles outside the area of interest, of all passes but those that need only some of their tiles."""
        if self.aoi is None:
            return 0
        return sum(int((~self.aoi.meets(one.grid.bounds())).sum()) for one in self.passes if not one.near_small)

    @property
    def wanted_tiles(self) -> int:
        """Number of tiles of all passes that intersect the area of interest."""
        return sum(int(one.wanted.sum()) for one in self.passes)

    def tile(self, number: int) -> Tile:
        """A tile by its number over all passes, which becomes its index."""
        one = next(one for one in reversed(self.passes) if number >= one.first)
        return replace(one.grid[number - one.first], index=number)

    @property
    def tile_pixel_m(self) -> tuple[float, float] | None:
        """Size of a tile pixel on the ground along rows and columns, metres; None where it is not known."""
        own = self.reader.scene.info.pixel_size_m
        return None if own is None else (own[0] * self.grid.scale[0], own[1] * self.grid.scale[1])

    def tiles(self) -> Iterator[Tile]:
        """The wanted tiles, in order."""
        return (self.grid[int(index)] for index in np.flatnonzero(self.wanted))


def plan_scene(
    scene: Scene,
    card: ModelCard,
    config: DetectConfig,
    prepare: Callable[[int], object] = lambda side: None,
    stretch: Stretch | None = None,
) -> ScenePlan:
    """Decides resolution, tiles, stretch and area before any tile is read.

    Args:
        scene: an open scene.
        card: of the model.
        config: what to find and how.
        prepare: called with the side of the first pass's tiles as soon as it is decided, before the scene is sampled.
        stretch: of several images together; None: as the settings say.

    Raises:
        UsageError: if the area of interest misses the scene, or an option does not fit it.
        SceneError: if the sample of the scene cannot be read, or the scene has more than MAX_TILES tiles.
    """
    info = scene.info
    parse_stretch(config.stretch)  # invalid values are reported before anything is read
    scale, notes = choose_scale(info, card, config.gsd)
    aoi = _area(info, config)
    side, grid, wanted = cheapest_tiles(info, card, config, scale, aoi)
    prepare(side)
    reader = open_reader(scene, config.stretch, config.edge_nodata, side, card.fill)
    if stretch is not None:
        reader = TileReader(scene, stretch, reader.edge, side, card.fill)
    about_pixels = edge_note(info, reader.edge)
    if config.stretch == "auto":
        about_pixels += stretch_note(scene, reader.stretch)
    warnings = (*info.warnings(), *about_pixels, *notes, *(aoi.warnings if aoi is not None else ()))
    plan = with_passes(ScenePlan(reader, grid, wanted, aoi, warnings), card, config)
    return replace(plan, warnings=(*warnings, *fetching_note(scene, sure_tiles(plan))))


def sure_tiles(plan: ScenePlan) -> list[tuple[TileGrid, NDArray[np.bool_]]]:
    """The tiles of the passes that do not depend on what another one finds, and which of them are wanted."""
    return [(one.grid, one.wanted) for one in plan.passes if not one.near_small]


def cheapest_tiles(
    info: SceneInfo, card: ModelCard, config: DetectConfig, scale: Scale, aoi: AreaOfInterest | None
) -> tuple[int, TileGrid, NDArray[np.bool_]]:
    """The side of the tiles, all tiles, and which of them intersect the area.

    The model's larger tiles, if it has any, are chosen where that saves at least WORTH_PX pixels.

    Raises:
        ConfigError: if the overlap is not allowed.
        SceneError: if there would be more than MAX_TILES.
    """

    def tiles(side: int) -> tuple[int, TileGrid, NDArray[np.bool_]]:
        grid = tile_grid(info, replace(card, tile_size=side), config, scale)
        return side, grid, _wanted(grid, aoi)

    own = tiles(card.tile_size)
    if card.larger_tile_size is None:
        return own
    larger = tiles(card.larger_tile_size)
    pixels_own, pixels_larger = (side**2 * int(wanted.sum()) for side, _, wanted in (own, larger))
    return larger if pixels_own - pixels_larger >= WORTH_PX else own


def with_passes(plan: ScenePlan, card: ModelCard, config: DetectConfig) -> ScenePlan:
    """A plan of one pass with the further ones that the settings or the model ask for.

    The second pass is left out where one tile holds the whole scene, the third where it would be enlarged too much.

    Args:
        plan: of one pass.
        card: the model's card.
        config: settings; 'auto' makes three passes with models whose card says which lengths one pass serves, the
            third only where the first has found small objects: it would take four times as long as the first.

    Raises:
        UsageError: if several passes are asked for together with merging over classes.
        SceneError: if a pass would have too many tiles.
    """
    count = _pass_count(card, config)
    low, high = card.lengths_px or SERVED_PX
    further = []
    own = (0.0, inf)
    if count > 1 and len(plan.grid) > 1:
        own = (own[0], high)
        further.append(_at(plan, card, config, COARSE, (high / SHARED_LARGE, inf)))
    # Of pixels that are not square, one side is enlarged already: what counts is how much larger their area becomes.
    if count > 2 and math.sqrt(math.prod(plan.grid.scale)) / FINE >= 1 / MAX_ENLARGEMENT:
        own = (low, own[1])
        near_small = config.passes is Passes.AUTO
        lengths_px = (0.0, low * SHARED_SMALL)
        overlap = FINE_OVERLAP * math.ceil(lengths_px[1] * FINE)
        # Around single objects small tiles see less of what need not be seen.
        larger = None if near_small else card.larger_tile_size
        largest = min(card.largest_object_px or overlap, overlap)
        fine_card = replace(card, largest_object_px=largest, larger_tile_size=larger)
        fine = _at(plan, fine_card, config, FINE, lengths_px)
        further.append(replace(fine, near_small=near_small))
    starts = np.cumsum([len(plan.grid), *(len(one.grid) for one in further)]).tolist()
    numbered = tuple(replace(one, first=first) for one, first in zip(further, starts, strict=False))
    return replace(plan, lengths_px=own, further=numbered)


def _pass_count(card: ModelCard, config: DetectConfig) -> int:
    if config.passes is Passes.AUTO:
        return 1 if card.lengths_px is None or config.agnostic else 3
    if config.agnostic and config.passes is not Passes.ONE:
        raise UsageError(f"--passes {config.passes} cannot be combined with --agnostic; use --passes 1")
    return int(config.passes)


def _at(
    plan: ScenePlan, card: ModelCard, config: DetectConfig, enlargement: float, lengths_px: tuple[float, float]
) -> ScenePlan:
    """A pass over the same area, enlarged."""
    scale = plan.grid.scale[0] / enlargement, plan.grid.scale[1] / enlargement
    side, grid, wanted = cheapest_tiles(plan.reader.scene.info, card, config, scale, plan.aoi)
    reader = replace(plan.reader, tile_size=side)
    return replace(plan, reader=reader, grid=grid, wanted=wanted, lengths_px=lengths_px)


def tile_grid(info: SceneInfo, card: ModelCard, config: DetectConfig, scale: Scale) -> TileGrid:
    """A scene's tiles at a scale.

    Raises:
        ConfigError: if the overlap is not allowed.
        SceneError: if there would be more than MAX_TILES.
    """
    overlap = choose_overlap(card, config.overlap)
    check_tiles(info, card.tile_size - overlap, scale)
    return plan_tiles(info.width, info.height, card.tile_size, overlap, scale)


def _wanted(grid: TileGrid, aoi: AreaOfInterest | None) -> NDArray[np.bool_]:
    """(tiles,) True where a tile intersects the area of interest."""
    return np.ones(len(grid), np.bool_) if aoi is None else aoi.meets(grid.bounds())


def choose_scale(info: SceneInfo, card: ModelCard, gsd: float | str) -> tuple[Scale, list[str]]:
    """Scene pixels per tile pixel, and messages for the user about it.

    'auto' keeps the scene's own pixels if they are within the model's range, and otherwise resamples exactly to the
    nearer end of it. Pixels that are not square on the ground are resampled so that they are.
    """
    if info.pixel_size_m is None or info.square_gsd_m is None:
        if gsd == NATIVE_GSD:
            return (1.0, 1.0), []
        ignored = "" if isinstance(gsd, str) else f"; --gsd {gsd} is ignored"
        return (1.0, 1.0), [f"scene '{info.path}' has no known ground sampling distance and is not resampled{ignored}"]
    target, notes = _target_gsd(info, info.square_gsd_m, card, gsd)
    if info.has_square_pixels:
        scale = target / info.square_gsd_m
        return (scale, scale), notes
    width_m, height_m = info.pixel_size_m
    sides = f"{rounded(width_m)} x {rounded(height_m)} m on the ground"
    oblong = f"scene '{info.path}' has pixels of {sides}: read as squares of {rounded(target)} m"
    return (target / width_m, target / height_m), [oblong, *notes]


def _target_gsd(info: SceneInfo, own: float, card: ModelCard, gsd: float | str) -> tuple[float, list[str]]:
    """Side of a tile pixel in metres, and messages for the user about it; `own` is the scene's."""
    finest, coarsest = card.gsd_m
    if not isinstance(gsd, str):
        if own / gsd > MAX_ENLARGEMENT:
            raise UsageError(
                f"--gsd {gsd:g} would enlarge scene '{info.path}' ({rounded(own)} m per pixel) {own / gsd:,.0f} times; "
                f"give at least {rounded(own / MAX_ENLARGEMENT)}"
            )
        outside = not finest * (1 - NATIVE_TOLERANCE) <= gsd <= coarsest * (1 + NATIVE_TOLERANCE)
        note = f"--gsd {gsd:g} is outside the range of model '{card.name}', {card.gsd_text} m per pixel"
        return (own if abs(gsd / own - 1) < NATIVE_TOLERANCE else gsd), [note] if outside else []
    if gsd == NATIVE_GSD or finest * (1 - NATIVE_TOLERANCE) <= own <= coarsest * (1 + NATIVE_TOLERANCE):
        return own, []
    what = f"scene '{info.path}' has {rounded(own)} m per pixel, model '{card.name}' works at {card.gsd_text} m"
    if own > coarsest * MAX_ENLARGEMENT:
        return own, [f"{what}: its objects are too small to be seen in it; the scene is not resampled"]
    target = finest if own < finest else coarsest
    return target, [f"{what}: resampled to {target:g} m (--gsd native uses the scene's own pixels)"]


def choose_overlap(card: ModelCard, overlap: str | None) -> int:
    """Tile pixels shared by neighbouring tiles: as requested, else the largest object's side, else a quarter."""
    if overlap is not None:
        return overlap_pixels(overlap, card.tile_size)
    share = round(card.tile_size * DetectConfig.DEFAULT_OVERLAP)
    if card.largest_object_px is None:
        return share
    return min(card.largest_object_px, int(card.tile_size * MAX_OVERLAP))


def aoi_from_file(path: Path, info: SceneInfo) -> AreaOfInterest:
    """All polygons of a vector file, in any format and CRS, as an area of the scene.

    Raises:
        UsageError: if the file cannot be read, holds no polygons, or does not overlap the scene.
    """
    from lcageo.vector.area import Area  # geopandas takes half a second to import; most runs do not need it

    area = Area.read(path)
    found = aoi_in_pixels(area.shape, area.crs, info, area.name)
    unplaced = () if area.crs is not None else (f"{area.name} has no CRS; the scene's CRS is assumed",)
    return replace(found, warnings=(*area.warnings, *unplaced, *found.warnings))


def _area(info: SceneInfo, config: DetectConfig) -> AreaOfInterest | None:
    if config.aoi is not None:
        return aoi_from_file(config.aoi, info)
    return None if config.bbox is None else aoi_from_bbox(config.bbox, config.bbox_crs, info)
