"""Cuts scenes and their labels into chips and COCO files for training, split by blocks of ground."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.chips.blocks import BlockPlane, BlockSplit, split_blocks
from lcageo.chips.chip_set import IMAGES, MAPS, SIDES, ChipSet
from lcageo.chips.completeness import side_by_side
from lcageo.chips.config import ChipConfig
from lcageo.chips.cutting import cut_all
from lcageo.chips.labels import Labels, read_labels
from lcageo.chips.scene import PlacedScene, place_scene
from lcageo.errors import DataError, OutputError, OutsideError, SceneError, UsageError
from lcageo.inference.asked import open_area
from lcageo.inference.jobs import inputs_of
from lcageo.layer_source import shown
from lcageo.plural import plural
from lcageo.remote import public
from lcageo.scene.basemap import is_basemap
from lcageo.scene.raster import open_scene
from lcageo.transform import accuracy_warnings
from lcageo.vector.publish import OLDER, draft_folder, draft_path, make_folder, refuse_inputs
from lcageo.vector.target import layer_files
from lcageo.version import __version__

MADE_BY = "made by lcageo chips"
"""Description in a COCO file's info, by which our own files are recognised."""
DRAFT = "chips"
"""Name of the draft of a folder of chips."""
CHIPS_PER_BLOCK = 4
"""Number of chips along a block's side."""
BLOCKS_PER_EXTENT = 4
"""Minimum number of blocks along the longer side of the labels' extent."""
Warn = Callable[[str], None]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ChipSummary:
    """Summary of the chips made."""

    chips: dict[str, int]
    """Number of chips on each side, train and val."""
    negatives: dict[str, int]
    """Number of chips without objects, likewise."""
    labels: dict[str, dict[str, int]]
    """Number of labels of each class that each side shows."""
    gsd_m: tuple[float, float]
    """Resolution of the finest and the coarsest chips, metres per pixel."""
    block_m: float
    unreadable: tuple[str, ...]
    """Errors of the tiles that could not be read."""
    outputs: tuple[Path, ...]


def make_chips(
    scenes: Sequence[str],
    labels_path: Path,
    out: Path,
    config: ChipConfig,
    overwrite: bool = False,
    warn: Warn = lambda line: None,
    on_progress: OnProgress = lambda done, total: None,
) -> ChipSummary:
    """Cuts chips from scenes, and writes them with COCO files for `lcageo train`.

    Args:
        scenes: paths of rasters, which may overlap.
        labels_path: polygons or points, in any format and CRS.
        out: a folder, created if missing: train.json, val.json, images/, and a map of the split per scene in split/.
        config: the settings.
        overwrite: whether existing chips there may be replaced.
        warn: receives messages that the user should read.
        on_progress: called with the number of tiles finished, and of all tiles.

    Raises:
        UsageError: if `out` has contents already, or options do not fit the scenes or labels.
        DataError: if labels cannot be read or used, or none shows on the scenes.
        SceneError: if a scene cannot be opened or is not georeferenced.
        OutputError: if something cannot be written.
    """
    _check_out(out, overwrite)
    read = [(file, "the labels") for file in layer_files(labels_path)] + inputs_of(scenes, config.aoi)
    if config.review is not None:
        read += [(file, "the review") for file in layer_files(config.review)]
    refuse_inputs((*(out / f"{side}.json" for side in SIDES), out / IMAGES, out / MAPS), read)
    twice = [scene for index, scene in enumerate(scenes) if scene in scenes[:index]]
    if twice:
        raise UsageError(f"scene '{public(twice[0])}' is named twice; name each once")
    labels = read_labels(labels_path, config.class_field, config.class_name, config.review)
    _check_points(labels, labels_path, config)
    placed, outside = _placed_scenes(scenes, labels, config)
    of_scenes = [line for scene in placed for line in scene.warnings()]
    for line in (*labels.warnings, *outside, *dict.fromkeys(of_scenes), *_off_scenes(labels, labels_path, placed)):
        warn(line)
    split, owner = _split(labels, labels_path, placed, config)
    make_folder(out)
    try:
        with draft_folder(out, DRAFT, lambda begun: _finish(begun, out)) as folder:
            chips = ChipSet(folder, labels)
            unreadable = cut_all(chips, placed, split, owner, config, on_progress, warn)
            if not chips.shown["train"]:
                raise DataError(
                    f"no label of '{labels.layer.name}' is visible enough to train on; check that the scenes have data "
                    "there"
                )
            about = {
                "labels": shown(labels_path),
                "scenes": list(map(public, scenes)),
                "parameters": config.parameters(),
            }
            chips.write_coco({"description": MADE_BY, "version": __version__, **about})
            outputs = _publish(folder, out)
    except OSError as error:
        raise OutputError(f"chips cannot be written to '{out}': {error}; is the disk full or read-only?") from error
    for line in _remarks(chips, placed, config):
        warn(line)
    cut = chips.shown["train"]
    resolutions = [scene.chip_gsd_m for scene in placed if not cut.isdisjoint(scene.index.tolist())]
    return ChipSummary(
        chips={side: len(chips.images[side]) for side in SIDES},
        negatives={side: chips.negatives(side) for side in SIDES},
        labels={side: chips.per_class(side) for side in SIDES},
        gsd_m=(min(resolutions), max(resolutions)),
        block_m=split.side_m,
        unreadable=tuple(unreadable),
        outputs=outputs,
    )


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuses to mix chips with others, or to remove files that are not ours."""
    files = [out / f"{side}.json" for side in SIDES]
    existing = [path for path in (*files, out / IMAGES, out / MAPS) if path.exists()]
    if existing and not overwrite:
        raise UsageError(f"output '{existing[0]}' exists; use --overwrite to replace it, or another folder with -o")
    broken_off = [draft_path(out, DRAFT) / file.name for file in files]  # killed while moving them into place
    if existing and not any(path.is_file() and _is_ours(path) for path in (*files, *broken_off)):
        raise UsageError(f"'{existing[0]}' was not made by lcageo chips, so it is not replaced; choose another folder")


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


def _placed_scenes(
    scenes: Sequence[str], labels: Labels, config: ChipConfig
) -> tuple[list[PlacedScene], tuple[str, ...]]:
    """The scenes that the area of interest overlaps, and messages about the others; an error if they all are others."""
    placed, outside = list[PlacedScene](), list[OutsideError]()
    for path in scenes:
        try:
            placed.append(_placed(path, labels, config))
        except OutsideError as error:
            outside.append(error)
    if not placed:
        raise outside[0]
    return placed, tuple(f"{error}; scene left out" for error in outside)


def _placed(path: str, labels: Labels, config: ChipConfig) -> PlacedScene:
    if is_basemap(path) and config.gsd_m is None:
        raise UsageError(f"'{public(path)}' is a basemap, which has many resolutions; name one with --gsd")
    if is_basemap(path):
        opened = open_area(path, config.aoi, config.gsd_m or 0.0, config.bands)
    else:
        opened = open_scene(path, config.bands, config.crs)
    with opened as scene:
        return place_scene(scene, labels, config)


def _off_scenes(labels: Labels, path: Path, placed: Sequence[PlacedScene]) -> Iterator[str]:
    on = np.unique(np.concatenate([scene.index for scene in placed]))
    if not len(on):
        raise DataError(
            f"none of the {len(labels):,} labels in '{path}' lies on a scene; compare its coordinates and CRS "
            f"({labels.crs.name}) with 'lcageo info {placed[0].info.path}'"
        )
    if len(on) < len(labels):
        yield f"{len(labels) - len(on):,} of {len(labels):,} labels in '{path}' are on none of the scenes; left out"


def _split(
    labels: Labels, path: Path, placed: Sequence[PlacedScene], config: ChipConfig
) -> tuple[BlockSplit, NDArray[np.bool_]]:
    """The split of the ground, and (N,) True for labels that belong to validation; False for those on no scene."""
    first = placed[0]
    plane = BlockPlane.around(first.info, first.pixel_size_m, first.crs)
    used = np.unique(np.concatenate([scene.index[scene.shown()] for scene in placed]))
    if not len(used):
        raise DataError(f"no label of '{path}' lies inside --aoi '{config.aoi}'")
    centres = labels.centres(plane.mover(labels.crs))
    if not np.isfinite(centres[used]).all():
        raise SceneError(f"scenes are too far from '{first.info.path}' to be split together; make chips one by one")
    side_m = config.block_m or _block_m(placed, centres[used], plane, config)
    split = split_blocks(plane, side_m, centres[used], labels.labels[used], config.val, config.seed)
    if config.val > 0 and not any(split.chosen.values()):
        raise UsageError(
            f"all labels are in one block of {side_m:g} m, so none is left for validation; use a smaller --block, "
            "or --val 0"
        )
    owner = np.zeros(len(labels), np.bool_)
    finite = np.isfinite(centres).all(axis=1)
    owner[finite] = split.validates(*centres[finite].T)
    return split, owner


def _block_m(
    placed: Sequence[PlacedScene], centres: NDArray[np.float64], plane: BlockPlane, config: ChipConfig
) -> float:
    """Side of a block: four chips, or less where the labels' extent is too small for both sides to get some."""
    chip_m = max(scene.chip_gsd_m for scene in placed) * config.size
    extent_m = float(np.ptp(centres, axis=0).max()) * plane.unit_m
    wanted = CHIPS_PER_BLOCK * chip_m
    return min(wanted, extent_m / BLOCKS_PER_EXTENT) if extent_m > 0 else wanted


def _publish(draft: Path, out: Path) -> tuple[Path, ...]:
    """Moves all files into place, and existing ones into the draft, which is removed; undone if one cannot be moved.

    COCO files, which others look for, go first and come last. What a killed process did not move can be moved by the
    same function.
    """
    older = draft / OLDER
    older.mkdir(exist_ok=True)
    with ExitStack() as undo:
        if (draft / MAPS).exists():  # so the COCO files in place are the older ones
            for name in (f"{side}.json" for side in SIDES):
                _move(out / name, older / name, undo)
        for name in (IMAGES, MAPS):
            if (draft / name).exists():
                _move(out / name, older / name, undo)
                _move(draft / name, out / name, undo)
        for name in (f"{side}.json" for side in reversed(SIDES)):
            _move(draft / name, out / name, undo)
        undo.pop_all()
    files = (out / f"{side}.json" for side in SIDES)
    return (*filter(Path.exists, files), *sorted((out / MAPS).iterdir()))


def _finish(draft: Path, out: Path) -> None:
    """Completes what a process began to publish before it was killed; its draft is complete then."""
    if (draft / OLDER).exists():
        _publish(draft, out)


def _move(source: Path, target: Path, undo: ExitStack) -> None:
    """Moves a file or folder if it exists; `undo` takes that back."""
    if source.exists():
        source.rename(target)
        undo.callback(target.rename, source)


def _remarks(chips: ChipSet, placed: Sequence[PlacedScene], config: ChipConfig) -> Iterator[str]:
    """Messages about results that the user may not expect."""
    on = set(np.concatenate([scene.index[scene.shown()] for scene in placed]).tolist())
    places = [(scene.crs, chips.labels.crs, *scene.info.centre()) for scene in placed]
    finest_m = min(scene.chip_gsd_m for scene in placed)
    yield from side_by_side(placed, chips.labels)
    yield from accuracy_warnings("positions of the labels", places, finest_m)
    hidden = len(on - chips.shown["train"] - chips.shown["val"])
    if hidden:
        labels = plural(hidden, "label")
        yield f"left out: {labels} not visible enough in any chip (no data, or cut by a border of the split)"
    for side in SIDES if config.val > 0 else ():
        lacking = [name for name, count in chips.per_class(side).items() if not count]
        if lacking:
            yield f"no label of {', '.join(lacking)} in {side}: they are too close together; try a smaller --block"
