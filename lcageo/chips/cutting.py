"""Cuts scenes, with their labels and a split, into chips as PNGs, and draws a map of each scene's split."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, count, islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lcageo.chips.blocks import BlockSplit
from lcageo.chips.chip_set import IMAGES, MAPS, ChipSet
from lcageo.chips.config import ChipConfig
from lcageo.chips.labels import Labels
from lcageo.chips.scene import Chip, ChipCutter, PlacedScene, open_cutter
from lcageo.chips.split_map import draw_split
from lcageo.detections import Detections
from lcageo.errors import SceneError
from lcageo.pictures.quicklook import LONGEST_SIDE, save_quicklook
from lcageo.scene.edges import edge_note
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.stretch import reduced_image
from lcageo.scene.tiles import Tile

THREADS = 4
"""Threads that read, resample and compress; GDAL and zlib release the GIL meanwhile."""
AHEAD = 4 * THREADS
"""Number of tiles whose chips are in memory at a time."""

Cut = list[tuple[Chip, bytes]]
"""A tile's chips with their PNGs."""


def cut_all(
    chips: ChipSet,
    placed: Sequence[PlacedScene],
    split: BlockSplit,
    owner: NDArray[np.bool_],
    config: ChipConfig,
    on_progress: Callable[[int, int], None],
    warn: Callable[[str], None],
) -> list[str]:
    """Cuts all scenes, writes their chips and draws their maps.

    Args:
        chips: receives the chips.
        placed: the scenes with their labels.
        split: split of the ground.
        owner: (N,) True for labels that belong to validation.
        config: the chips to make.
        on_progress: called with the number of tiles finished, and of all tiles.
        warn: receives messages that the user should read.

    Returns:
        Errors of the tiles that could not be read.
    """
    for name in (IMAGES, MAPS):
        (chips.folder / name).mkdir()
    labelled = [np.flatnonzero(scene.wanted() & scene.with_labels()) for scene in placed]
    others = [np.flatnonzero(scene.wanted() & ~scene.with_labels()) for scene in placed]
    quota = _quota([len(tiles) for tiles in labelled], [len(tiles) for tiles in others], config.negatives)
    total, done = sum(map(len, labelled)) + sum(quota), 0
    unreadable: list[str] = []
    for number, (scene, name) in enumerate(zip(placed, _names(placed), strict=True)):
        if not len(labelled[number]) + quota[number]:
            continue
        shuffled = np.random.default_rng([config.seed, number]).permutation(others[number])
        with open_scene(scene.info.address, config.bands, config.crs) as opened:
            cutter = open_cutter(opened, scene, split, owner, config)
            for line in edge_note(scene.info, cutter.reader.edge):
                warn(line)
            drawn: list[tuple[Tile, bool]] = []
            for cut in chain(_in_turn(cutter, labelled[number]), _first(_in_turn(cutter, shuffled), quota[number])):
                if isinstance(cut, SceneError):
                    unreadable.append(str(cut))
                    continue
                for chip, png in cut:
                    chips.add(name, scene, chip, png)
                    drawn.append((chip.tile, chip.validates))
                done += 1
                on_progress(min(done, total), total)
            save_quicklook(_map(opened, cutter, drawn, chips.labels), chips.folder / MAPS / f"{name}.png")
    on_progress(total, total)
    return unreadable


def _first(cuts: Iterator[Cut | SceneError], limit: int) -> Iterator[Cut | SceneError]:
    """The first `limit` tiles that give a chip: some have no data."""
    return islice((cut for cut in cuts if cut), limit)


def _quota(labelled: Sequence[int], others: Sequence[int], share: float) -> list[int]:
    """Number of tiles without labels to take from each scene, evenly, so that they are about `share` of all tiles."""
    wanted = min(share / (1 - share) * sum(labelled), sum(others))
    ends = np.round(np.cumsum(others) * wanted / max(sum(others), 1)).astype(int)
    return [int(count) for count in np.diff(ends, prepend=0)]


def _names(placed: Sequence[PlacedScene]) -> list[str]:
    """File names, one per scene: the scene's own, numbered where an earlier scene has the same."""
    names: list[str] = []
    taken = set[str]()  # some file systems ignore case
    for stem in (scene.info.name for scene in placed):
        numbered = chain([stem], (f"{stem}-{number}" for number in count(2)))
        names.append(next(name for name in numbered if name.casefold() not in taken))
        taken.add(names[-1].casefold())
    return names


def _in_turn(cutter: ChipCutter, tiles: NDArray[np.int64]) -> Iterator[Cut | SceneError]:
    """Each tile's chips with their PNGs, or the error if it cannot be read; cut ahead on threads."""
    rest = iter(tiles.tolist())
    with ThreadPoolExecutor(THREADS, thread_name_prefix="lcageo-chip") as pool:
        while some := list(islice(rest, AHEAD)):
            yield from pool.map(partial(_cut, cutter), some)


def _cut(cutter: ChipCutter, tile: int) -> Cut | SceneError:
    try:
        return [(chip, _png(chip)) for chip in cutter.cut(cutter.placed.grid[tile])]
    except SceneError as error:
        return error


def _png(chip: Chip) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(chip.pixels, 0, -1))).save(buffer, format="PNG")
    return buffer.getvalue()


def _map(scene: Scene, cutter: ChipCutter, drawn: Sequence[tuple[Tile, bool]], labels: Labels) -> Image.Image:
    """The map of a scene's split."""
    placed = cutter.placed
    image = reduced_image(scene, cutter.reader.stretch, LONGEST_SIDE)
    shrink = np.array([placed.info.width / image.shape[2], placed.info.height / image.shape[1]] * 2)
    columns, rows = np.meshgrid(
        (np.arange(image.shape[2]) + 0.5) * shrink[0], (np.arange(image.shape[1]) + 0.5) * shrink[1]
    )
    validates = cutter.split.validates(*placed.to_plane(cutter.split.plane)(columns, rows))
    shown = labels.labels[placed.index]
    validating = sum(val for _, val in drawn)
    return draw_split(
        image,
        validates,
        placed.inside(columns, rows),
        [(np.array(tile.bounds) / shrink, val) for tile, val in drawn],
        Detections(placed.boxes_xyxy / shrink, np.ones(len(shown), np.float32), shown),
        labels.classes,
        f"{placed.info.name}, chips: {len(drawn) - validating:,} train (blue), {validating:,} validate (orange)",
        placed.pixel_size_m[0] * float(shrink[0]),
    )
