"""Scenes and the labels on them -> chips and COCO files to train on, split by blocks of ground."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lcageo
from lcageo.config import ChipConfig
from lcageo.detections import Detections
from lcageo.errors import DataError, OutputError, SceneError, UsageError
from lcageo.output.labels import Labels, read_labels
from lcageo.output.publish import make_folder
from lcageo.output.quicklook import LONGEST_SIDE, save_quicklook
from lcageo.output.split_map import draw_split
from lcageo.pipeline.chip_blocks import BlockPlane, BlockSplit, split_blocks
from lcageo.pipeline.chip_scene import Chip, ChipCutter, PlacedScene, open_cutter, place_scene
from lcageo.pipeline.chip_set import IMAGES, MAPS, SIDES, ChipSet
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.stretch import reduced_image
from lcageo.scene.tiles import Tile

MADE_BY = "made by lcageo chips"
"""In a COCO file's info: how we know our own."""
CHIPS_PER_BLOCK = 4
"""Along a block's side."""
BLOCKS_PER_EXTENT = 4
"""Along the longer side of what the labels cover, at least."""
THREADS = 4
"""That read, resample and compress; GDAL and zlib let others run meanwhile."""
AHEAD = 4 * THREADS
"""Tiles whose chips are in memory at a time."""

Cut = list[tuple[Chip, bytes]]
"""A tile's chips with their PNGs."""
Warn = Callable[[str], None]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ChipReport:
    """What was made."""

    chips: dict[str, int]
    """Of each side, train and val."""
    negatives: dict[str, int]
    """How many of them show no object."""
    labels: dict[str, dict[str, int]]
    """Of each side, how many labels of each class it shows."""
    gsd_m: tuple[float, float]
    """Of the finest and the coarsest chips, metres per pixel."""
    block_m: float
    unreadable: tuple[str, ...]
    """Why tiles could not be read, one by one."""
    outputs: tuple[Path, ...]


def make_chips(
    scenes: Sequence[str],
    labels_path: Path,
    out: Path,
    config: ChipConfig,
    overwrite: bool = False,
    warn: Warn = lambda line: None,
    on_progress: Tell = lambda done, total: None,
) -> ChipReport:
    """Cuts chips from scenes, and writes them with COCO files for `lcageo train`.

    Args:
        scenes: paths of rasters, which may overlap.
        labels_path: polygons or points, in any format and CRS.
        out: a folder, made if it is missing: train.json, val.json, images/, and a map of the split per scene in split/.
        config: how.
        overwrite: whether earlier chips there may be replaced.
        warn: receives lines that the user should read.
        on_progress: called with the tiles that are done, and all of them.

    Raises:
        UsageError: if `out` holds something already, or options do not fit the scenes or labels.
        DataError: if labels cannot be read or used, or none shows on the scenes.
        SceneError: if a scene cannot be opened, or has no place on the ground.
        OutputError: if something cannot be written.
    """
    _check_out(out, overwrite)
    twice = [scene for index, scene in enumerate(scenes) if scene in scenes[:index]]
    if twice:
        raise UsageError(f"scene '{twice[0]}' is named twice; name each once")
    labels = read_labels(labels_path, config.class_field, config.class_name)
    _check_points(labels, labels_path, config)
    placed = [_placed(path, labels, config) for path in scenes]
    for line in (*labels.warnings, *_off_scenes(labels, labels_path, placed)):
        warn(line)
    split, owner = _split(labels, labels_path, placed, config)
    make_folder(out)
    try:
        with tempfile.TemporaryDirectory(prefix=".chips-", dir=out) as folder:
            chips = ChipSet(Path(folder), labels)
            unreadable = _cut_all(chips, placed, split, owner, config, on_progress)
            if not chips.shown["train"]:
                raise DataError(f"no label of '{labels_path}' shows well enough to train on; is there data under them?")
            about = {"labels": str(labels_path), "scenes": list(scenes), "parameters": config.parameters()}
            chips.write_coco({"description": MADE_BY, "version": lcageo.__version__, **about})
            outputs = _publish(Path(folder), out)
    except OSError as error:
        raise OutputError(f"chips cannot be written to '{out}': {error}; is the disk full or read-only?") from error
    for line in _remarks(chips, placed, config):
        warn(line)
    resolutions = [scene.chip_gsd_m for scene in placed]
    return ChipReport(
        chips={side: len(chips.images[side]) for side in SIDES},
        negatives={side: chips.negatives(side) for side in SIDES},
        labels={side: chips.per_class(side) for side in SIDES},
        gsd_m=(min(resolutions), max(resolutions)),
        block_m=split.side_m,
        unreadable=tuple(unreadable),
        outputs=outputs,
    )


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuses to mix chips with others, or to remove what is not ours."""
    files = [out / f"{side}.json" for side in SIDES]
    there = [path for path in (*files, out / IMAGES, out / MAPS) if path.exists()]
    if there and not overwrite:
        raise UsageError(f"output '{there[0]}' exists; give --overwrite to replace it, or another folder with -o")
    if there and not any(path.is_file() and _is_ours(path) for path in files):
        raise UsageError(f"'{there[0]}' was not made by lcageo chips, so it is not replaced; give another folder")


def _is_ours(path: Path) -> bool:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))["info"]
        return bool(info["description"] == MADE_BY)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _check_points(labels: Labels, path: Path, config: ChipConfig) -> None:
    if labels.points and config.point_size_m is None:
        raise UsageError(
            f"--labels '{path}' holds {labels.points:,} points; give the size of their objects with --point-size METRES"
        )
    if config.point_size_m is not None and not labels.points:
        raise UsageError(f"--labels '{path}' holds no points; leave out --point-size")


def _placed(path: str, labels: Labels, config: ChipConfig) -> PlacedScene:
    with open_scene(path, config.bands) as scene:
        return place_scene(scene, labels, config)


def _off_scenes(labels: Labels, path: Path, placed: Sequence[PlacedScene]) -> Iterator[str]:
    on = np.unique(np.concatenate([scene.index for scene in placed]))
    if not len(on):
        raise DataError(
            f"none of the {len(labels):,} labels in '{path}' lies on a scene; compare its coordinates and CRS "
            f"({labels.crs.name}) with 'lcageo info {placed[0].info.path}'"
        )
    if len(on) < len(labels):
        yield f"{len(labels) - len(on):,} of {len(labels):,} labels in '{path}' lie on no scene; left out"


def _split(
    labels: Labels, path: Path, placed: Sequence[PlacedScene], config: ChipConfig
) -> tuple[BlockSplit, NDArray[np.bool_]]:
    """The split of the ground, and (N,) whether labels validate; False for those that lie on no scene."""
    first = placed[0]
    plane = BlockPlane.around(first.info, first.pixel_size_m, first.crs)
    used = np.unique(np.concatenate([scene.index[scene.shown()] for scene in placed]))
    if not len(used):
        raise DataError(f"no label of '{path}' lies inside --aoi '{config.aoi}'")
    centres = labels.centres(plane.mover(labels.crs))
    if not np.isfinite(centres[used]).all():
        raise SceneError(f"scenes lie too far from '{first.info.path}' to be split together; make chips one by one")
    side_m = config.block_m or _block_m(placed, centres[used], plane, config)
    split = split_blocks(plane, side_m, centres[used], labels.labels[used], config.val, config.seed)
    if config.val > 0 and not any(split.chosen.values()):
        raise UsageError(
            f"all labels lie in one block of {side_m:g} m, so that none is left to validate; give a smaller --block, "
            "or --val 0"
        )
    owner = np.zeros(len(labels), np.bool_)
    finite = np.isfinite(centres).all(axis=1)
    owner[finite] = split.validates(*centres[finite].T)
    return split, owner


def _block_m(
    placed: Sequence[PlacedScene], centres: NDArray[np.float64], plane: BlockPlane, config: ChipConfig
) -> float:
    """Four chips, but so many blocks along what the labels cover that both sides get some."""
    chip_m = max(scene.chip_gsd_m for scene in placed) * config.size
    extent_m = float(np.ptp(centres, axis=0).max()) * plane.unit_m
    wanted = CHIPS_PER_BLOCK * chip_m
    return min(wanted, extent_m / BLOCKS_PER_EXTENT) if extent_m > 0 else wanted


def _cut_all(
    chips: ChipSet,
    placed: Sequence[PlacedScene],
    split: BlockSplit,
    owner: NDArray[np.bool_],
    config: ChipConfig,
    on_progress: Tell,
) -> list[str]:
    """Cuts, writes and draws all scenes; returns why tiles could not be read."""
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
        with open_scene(scene.info.path, config.bands) as opened:
            cutter = open_cutter(opened, scene, split, owner, config)
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


def _first(cuts: Iterator[Cut | SceneError], most: int) -> Iterator[Cut | SceneError]:
    """Of tiles without labels so many that give a chip: some hold no data."""
    return islice((cut for cut in cuts if cut), most)


def _quota(labelled: Sequence[int], others: Sequence[int], share: float) -> list[int]:
    """Tiles without labels to take from each scene, evenly, so that about `share` of all tiles are such."""
    wanted = min(share / (1 - share) * sum(labelled), sum(others))
    ends = np.round(np.cumsum(others) * wanted / max(sum(others), 1)).astype(int)
    return [int(count) for count in np.diff(ends, prepend=0)]


def _names(placed: Sequence[PlacedScene]) -> list[str]:
    """Names for files, one a scene: the scenes' own, with a number where an earlier scene has the same."""
    stems = [scene.info.name for scene in placed]
    return [stem if stem not in stems[:index] else f"{stem}-{index + 1}" for index, stem in enumerate(stems)]


def _in_turn(cutter: ChipCutter, tiles: NDArray[np.int64]) -> Iterator[Cut | SceneError]:
    """Each tile's chips with their PNGs, or why it cannot be read; cut on threads, some ahead."""
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
    """The picture of a scene's split."""
    placed = cutter.placed
    image = reduced_image(scene, cutter.reader.stretch, LONGEST_SIDE)
    shrink = np.array([placed.info.width / image.shape[2], placed.info.height / image.shape[1]] * 2)
    columns, rows = np.meshgrid(
        (np.arange(image.shape[2]) + 0.5) * shrink[0], (np.arange(image.shape[1]) + 0.5) * shrink[1]
    )
    validates = cutter.split.validates(*placed.to_crs(cutter.split.plane.crs)(columns, rows))
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


def _publish(draft: Path, out: Path) -> tuple[Path, ...]:
    """Moves all to its place, over what was there: the COCO files, which are looked for, at last."""
    for name in (IMAGES, MAPS):
        if (out / name).exists():
            shutil.rmtree(out / name)
        (draft / name).rename(out / name)
    for name in (f"{side}.json" for side in SIDES):
        (out / name).unlink(missing_ok=True)
    files = sorted(draft.glob("*.json"))
    for file in files:
        file.rename(out / file.name)
    return (*(out / file.name for file in files), *sorted((out / MAPS).iterdir()))


def _remarks(chips: ChipSet, placed: Sequence[PlacedScene], config: ChipConfig) -> Iterator[str]:
    """What is not as the user may think."""
    on = set(np.concatenate([scene.index[scene.shown()] for scene in placed]).tolist())
    hidden = len(on - chips.shown["train"] - chips.shown["val"])
    if hidden:
        yield f"{hidden:,} labels show in no chip well enough to be learned (no data, or cut by a border of the split)"
    for side in SIDES if config.val > 0 else ():
        lacking = [name for name, count in chips.per_class(side).items() if not count]
        if lacking:
            yield f"no label of {', '.join(lacking)} in {side}: they lie too close together; try a smaller --block"
