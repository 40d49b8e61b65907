"""The pages of a survey: an index with a map of its scenes, and a page for each scene."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pyproj
from numpy.typing import NDArray

from lcageo.config import PAGE_SIDE
from lcageo.errors import DataError, LcageoError, SceneError, UsageError
from lcageo.geodesy import WGS84, to_longitude_latitude
from lcageo.palette import class_colour
from lcageo.report.page import make_page, picture_address, provenance_rows
from lcageo.report.scene import PAGE_SUFFIX, ScenePage, check_side, write_scene_page, write_text
from lcageo.scene.describe import SceneInfo
from lcageo.scene.raster import open_scene
from lcageo.survey.state import State
from lcageo.survey.summary import SUMMARY
from lcageo.transform import Transform
from lcageo.vector.features import is_on_the_globe
from lcageo.vector.publish import check_output, make_folder

INDEX = "index.html"
SCRIPTS = ("page.js", "view.js", "list.js", "survey.js")
THUMBNAIL_PIXELS = 4_000_000
"""Pixels of all thumbnails of an index together: about 1 MB, however many scenes there are."""
THUMBNAIL_SIDES = (16, 512)
"""Minimum and maximum of a thumbnail's longer side, pixels."""

MAX_DOTS = 20_000
"""Cells of the grids in which an index shows where objects are, in all scenes together."""
CELLS = (4, 48)
"""Minimum and maximum number of such cells along a side of a scene."""

FloatArray = NDArray[np.float64]
Dot = tuple[float, float, str, int]
"""Shares of a scene's width and height, a class, and a number of objects."""
OnProgress = Callable[[float, float, str], None]


@dataclass(frozen=True, slots=True)
class SurveyPages:
    """Result of `report_survey`."""

    pages: int
    objects: int
    """Number of objects found in scenes; what several scenes show counts in each."""
    unique: int | None
    """Number of those that differ; None if the survey has no joint layer."""
    missing: tuple[str, ...]
    """Scenes without a page, each with the reason."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """One scene of a survey's summary."""

    path: str
    state: str
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    layer: Path | None
    """The scene's objects; None if it was not processed."""
    holes: Path | None
    page_path: PurePosixPath | None
    """Path of its page in the folder of pages."""

    @property
    def name(self) -> str:
        """The name of the scene's results, or else of its file."""
        if self.page_path is None:
            return Path(self.path).stem
        return str(self.page_path.relative_to("scenes").with_suffix(""))


def report_survey(
    folder: Path,
    out: Path,
    side: int = PAGE_SIDE,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total, text: None,
    warn: Callable[[str], None] = lambda line: None,
) -> SurveyPages:
    """Writes the pages of a survey; a scene that fails loses only its own page.

    Args:
        folder: the output folder of `batch`.
        out: folder for index.html and scenes/NAME.html, created if it is missing.
        side: maximum length of a picture's longer side, pixels.
        overwrite: whether pages may be replaced.
        on_progress: receives the number of scenes done, of all scenes, and the name of the next.
        warn: receives warnings for the user.

    Raises:
        UsageError: if a page exists, or `out` has the name of a page.
        DataError: if the folder is not a survey's.
        OutputError: if pages cannot be written.
    """
    if out.suffix.lower() == PAGE_SUFFIX:
        raise UsageError(f"output '{out}' is a single page, but a survey has many; choose a folder")
    check_side(side)
    summary = _read_summary(folder)
    scenes = [_scene(entry, folder) for entry in summary["per_scene"]]
    for target in [out / INDEX, *(out / scene.page_path for scene in scenes if scene.page_path is not None)]:
        check_output(target, [target], overwrite, folder_is_made=True)
    make_folder(out)
    for parent in {(out / scene.page_path).parent for scene in scenes if scene.page_path is not None}:
        make_folder(parent)
    thumbnail = int(np.clip(math.sqrt(THUMBNAIL_PIXELS / max(1, len(scenes))), *THUMBNAIL_SIDES))
    colours: dict[str, str] = {}
    entries: list[dict[str, Any]] = []
    footprints: list[FloatArray | None] = []
    missing: list[str] = []
    dots: list[list[Dot]] = []
    cells = int(np.clip(math.sqrt(MAX_DOTS / max(1, len(scenes))), *CELLS))
    for done, scene in enumerate(scenes):
        on_progress(done, len(scenes), scene.name)
        page, info = None, None
        try:
            page = _write_page(scene, out, side)
        except (SceneError, DataError) as error:
            missing.append(f"{scene.path}: {error}{_hint(scene.path)}")
        if page is None:
            with suppress(LcageoError), open_scene(scene.path) as opened:
                info = opened.info
        else:
            info = page.info
            colours = {**page.colours, **colours}
            for line in page.warnings:
                warn(f"{scene.name}: {line}")
        footprints.append(None if info is None else _footprint(info))
        entries.append(_entry(scene, page, None if footprints[-1] is None else thumbnail))
        dots.append([] if page is None or footprints[-1] is None else _dots(page, cells))
    on_progress(len(scenes), len(scenes), "")
    for entry, some in zip(entries, dots, strict=True):
        entry["dots"] = some
    _write_index(folder, out / INDEX, summary, scenes, entries, footprints, colours)
    pages = sum(entry["href"] is not None for entry in entries)
    in_scenes = sum(sum(scene.counts.values()) for scene in scenes)
    return SurveyPages(pages, in_scenes, _unique(summary), tuple(missing))


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    try:
        summary = json.loads(path.read_text("utf-8"))
        if not isinstance(summary["per_scene"], list):
            raise TypeError("per_scene is not a list")
    except FileNotFoundError as error:
        raise DataError(f"'{folder}' has no {SUMMARY}; give the folder that 'lcageo batch --out' wrote") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"'{path}' is not a survey's summary ({error}); run 'lcageo batch' again") from error
    return dict(summary)


def _unique(summary: Mapping[str, Any]) -> int | None:
    """Number of unique objects of a survey, as far as its summary has it."""
    counts = summary.get("counts")
    unique = counts.get("unique") if isinstance(counts, Mapping) else None
    return unique if isinstance(unique, int) else None


def _scene(entry: Any, folder: Path) -> _Scene:
    try:
        outputs = [PurePosixPath(output) for output in entry["outputs"]]
        if any(output.is_absolute() or ".." in output.parts for output in outputs):
            raise ValueError("results are outside the folder")
        layer = next((output for output in outputs if output.parts[0] == "scenes"), None)
        holes = next((output for output in outputs if output.parts[0] == "holes"), None)
        return _Scene(
            path=str(entry["scene"]),
            state=State(entry["state"]),
            counts={str(name): int(count) for name, count in entry["per_class"].items()},
            notes=tuple(str(note) for note in [entry["error"], *entry["warnings"]] if note),
            layer=None if layer is None else folder / layer,
            holes=None if holes is None else folder / holes,
            page_path=None if layer is None else layer.with_suffix(PAGE_SUFFIX),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"'{folder / SUMMARY}' is not a survey's summary ({error}); run 'lcageo batch' again"
        ) from error


def _write_page(scene: _Scene, out: Path, side: int) -> ScenePage | None:
    if scene.layer is None or scene.page_path is None:
        return None
    index = "../" * (len(scene.page_path.parts) - 1) + INDEX
    return write_scene_page(scene.path, scene.layer, out / scene.page_path, scene.holes, side, index=index)


def _hint(path: str) -> str:
    """Explains the most common reason why a scene is not found."""
    here = Path(path).is_absolute() or Path(path).exists()
    return "" if here else " (the path is relative to the folder where 'lcageo batch' ran; run report from there)"


def _entry(scene: _Scene, page: ScenePage | None, thumbnail: int | None) -> dict[str, Any]:
    """A scene's entry in the index, without its corners and counts."""
    drawn = page is not None and thumbnail is not None
    return {
        "name": scene.name,
        "state": scene.state,
        "notes": list(scene.notes),
        "href": None if page is None else quote(str(scene.page_path)),
        "thumbnail": picture_address(page.picture, thumbnail) if page is not None and drawn else None,
    }


def _dots(page: ScenePage, cells: int) -> list[Dot]:
    """Where a scene's objects are: for each cell of a grid over it and each class, a place and the number of objects.

    The place is the mean of the objects' centres.
    """
    grid = np.clip((page.centres * cells).astype(np.int64), 0, cells - 1)
    groups: dict[tuple[int, int, str], list[int]] = {}
    for place, (column, row) in enumerate(grid.tolist()):
        groups.setdefault((column, row, str(page.names[place])), []).append(place)
    return [
        (*page.centres[places].mean(axis=0).round(4).tolist(), name, len(places))
        for (_, _, name), places in groups.items()
    ]


def _write_index(
    folder: Path,
    target: Path,
    summary: Mapping[str, Any],
    scenes: Sequence[_Scene],
    entries: Sequence[dict[str, Any]],
    footprints: Sequence[FloatArray | None],
    colours: Mapping[str, str],
) -> None:
    names = list(dict.fromkeys(name for scene in scenes for name in scene.counts))
    spare = {name: "#{:02x}{:02x}{:02x}".format(*class_colour(label)) for label, name in enumerate(names)}
    corners, size = _on_map(footprints)
    states = {state: sum(scene.state == state for scene in scenes) for state in State}
    data = {
        "about": ", ".join(f"{count:,} {state}" for state, count in states.items() if count) or "no scenes",
        "unique": _unique(summary),
        "size": size,
        "classes": [{"name": name, "colour": colours.get(name, spare[name])} for name in names],
        "scenes": [
            {
                **entry,
                "corners": outline,
                "counts": [scene.counts.get(name, 0) for name in names],
                "dots": [[x, y, names.index(name), count] for x, y, name, count in entry["dots"] if name in names],
            }
            for scene, entry, outline in zip(scenes, entries, corners, strict=True)
        ],
        "provenance": provenance_rows(
            {name: value for name, value in summary.items() if name not in ("per_scene", "counts")}
        ),
    }
    title = f"Survey {folder.resolve().name}"
    write_text(make_page("survey.html", SCRIPTS, title, data), target)


def _footprint(info: SceneInfo) -> FloatArray | None:
    """(4, 2) longitude and latitude of a raster's corners, clockwise in the picture from the upper left."""
    crs = info.georeference.crs
    if crs is None or not to_longitude_latitude(crs):
        return None
    columns, rows = np.array([0.0, info.width, info.width, 0.0]), np.array([0.0, 0.0, info.height, info.height])
    to_globe = Transform(crs, pyproj.CRS(WGS84))
    corners = np.stack(to_globe(*info.georeference.to_map(columns, rows)), axis=-1)
    if not is_on_the_globe(corners[:, 0], corners[:, 1]).all():
        return None
    return np.column_stack([corners[:, 0], np.clip(corners[:, 1], -90.0, 90.0)])  # some rasters go on beyond a pole


def _on_map(
    footprints: Sequence[FloatArray | None],
) -> tuple[list[list[list[float]] | None], tuple[float, float]]:
    """Corners in metres, to the right and downwards, and the map's width and height.

    The map is azimuthal equidistant about the survey's centre: there, north is up and lengths are true, on any
    continent and across the antimeridian.
    """
    placed = [corners for corners in footprints if corners is not None]
    if not placed:
        return [None] * len(footprints), (1.0, 1.0)
    longitude, latitude = np.radians(np.concatenate(placed)).T
    x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    middle = {
        "lon_0": math.degrees(math.atan2(y.mean(), x.mean())),
        "lat_0": math.degrees(math.atan2(z.mean(), math.hypot(x.mean(), y.mean()))),
    }
    plane = pyproj.CRS.from_dict({"proj": "aeqd", "ellps": "WGS84", **middle})
    to_plane = pyproj.Transformer.from_crs(WGS84, plane, always_xy=True)
    moved = [None if one is None else np.stack(to_plane.transform(*one.T), axis=-1) for one in footprints]
    moved = [None if one is None or not np.isfinite(one).all() else one for one in moved]
    if all(one is None for one in moved):
        return [None] * len(footprints), (1.0, 1.0)
    every = np.concatenate([one for one in moved if one is not None])
    margin = 0.04 * float(np.ptp(every, axis=0).max())
    west, north = every[:, 0].min() - margin, every[:, 1].max() + margin
    width, height = np.ptp(every, axis=0) + 2 * margin
    corners = [
        None if one is None else np.column_stack([one[:, 0] - west, north - one[:, 1]]).tolist() for one in moved
    ]
    return corners, (float(width), float(height))
