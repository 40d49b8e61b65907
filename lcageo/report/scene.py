"""The page of a scene and a layer of its objects: one file that works offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcageo.config import PAGE_SIDE
from lcageo.errors import OutputError, UsageError
from lcageo.plural import plural
from lcageo.remote import public
from lcageo.report.packed_columns import pack, pack_polygons
from lcageo.report.page import make_page, picture_address, provenance_rows
from lcageo.report.pixel_objects import FloatArray, Frame, PlacedLayer, place_areas, place_layer
from lcageo.scene.basemap import is_basemap
from lcageo.scene.describe import SceneInfo
from lcageo.scene.georef import north_in_picture
from lcageo.scene.raster import Scene, open_scene
from lcageo.scene.stretch import Stretch, choose_stretch, reduced_image
from lcageo.transform import accuracy_warnings
from lcageo.vector.parts import apart_note
from lcageo.vector.publish import Publication, check_output, refuse_inputs
from lcageo.vector.read import LayerFile, open_layer
from lcageo.vector.record import RunRecord
from lcageo.vector.target import layer_files

PAGE_SUFFIX = ".html"
SCRIPTS = ("page.js", "view.js", "list.js", "scene.js", "scene_map.js")
SIDES = (256, 16_384)
"""Minimum and maximum of a picture's longer side, pixels: browsers draw nothing larger."""
MAX_OBJECTS = 200_000
"""Maximum number of objects in a page: 4 MB, and as many as a browser draws while the user drags."""
NO_SCORE = 65_535
"""Packed score of an object without one, shown at any minimum score; scene.js has the same constant."""
SCORE_STEPS = 10_000
"""Packed value of the score 1: as many digits as layers have; integers, since 0.3 in 32 bits is not 0.3."""


@dataclass(frozen=True, slots=True)
class ScenePage:
    """Contents of a page that was written."""

    objects: int
    """Number of objects inside the scene, candidates included."""
    candidates: int
    """Number of those that score less than their class's threshold, which the page does not show at first."""
    counts: Mapping[str, int]
    """Number of objects by class."""
    picture: NDArray[np.uint8]
    """(3, h, w) uint8, the scene reduced."""
    colours: Mapping[str, str]
    """Colour of each class, as #rrggbb."""
    info: SceneInfo
    warnings: tuple[str, ...]
    centres: FloatArray
    """(N, 2) centres of the objects that are no candidates, as shares of the scene's width and height."""
    names: NDArray[Any]
    """(N,) str: their classes."""


def report_scene(
    scene: str,
    layer: Path,
    target: Path,
    holes: Path | None = None,
    side: int = PAGE_SIDE,
    overwrite: bool = False,
    class_field: str | None = None,
    crs: str | None = None,
) -> ScenePage:
    """Writes the page of a scene.

    Args:
        scene: as in `detect`.
        layer: objects in the scene: polygons in any format and CRS, of any origin.
        target: the page, .html.
        holes: the layer that `detect --holes` wrote.
        side: maximum length of the picture's longer side, pixels.
        overwrite: whether the target may be replaced.
        class_field: attribute of the layer that holds the classes; None: it is found by its name.
        crs: CRS of a scene that has none; None: the one that the layer records.

    Raises:
        UsageError: if the target exists or does not end in .html, or the side is out of range.
        SceneError, DataError: if scene or layer cannot be read, or do not belong together.
        OutputError: if the page cannot be written.
    """
    if target.suffix.lower() != PAGE_SUFFIX:
        raise UsageError(f"output '{target}' is not an HTML page; choose a file name that ends in {PAGE_SUFFIX}")
    check_side(side)
    check_output(target, [target], overwrite)
    read: list[tuple[str | Path, str]] = [(scene, "the scene"), *((file, "the layer") for file in layer_files(layer))]
    refuse_inputs([target], read + ([(holes, "the layer of holes")] if holes is not None else []))
    return write_scene_page(scene, layer, target, holes, side, class_field, crs)


def check_side(side: int) -> None:
    """Refuses picture sizes that browsers cannot draw.

    Raises:
        UsageError: if it is out of range.
    """
    if not SIDES[0] <= side <= SIDES[1]:
        raise UsageError(f"--side {side} is out of range; choose {SIDES[0]:,} to {SIDES[1]:,} pixels")


def write_scene_page(
    scene: str,
    layer: Path,
    target: Path,
    holes: Path | None,
    side: int,
    class_field: str | None = None,
    crs: str | None = None,
    index: str | None = None,
) -> ScenePage:
    """Writes a page as `report_scene` does, without its checks; `index`: relative URL of the survey's index."""
    found, notes = open_layer(layer, "").as_objects(class_field)
    if is_basemap(scene):
        raise UsageError(
            f"'{public(scene)}' is a basemap, without a size to show; save the area as a GeoTIFF, with QGIS's 'Convert "
            "map to raster' or gdal_translate -projwin, and name that"
        )
    with _open(scene, _bands(found.record), crs or _crs(found.record)) as opened:
        frame = _frame(opened.info)
        placed = place_layer(found, frame, MAX_OBJECTS)
        areas, reasons = place_areas(open_layer(holes, "--holes"), frame, "reason") if holes else (None, [])
        picture = reduced_image(opened, _stretch(found.record) or choose_stretch(opened)[0], side)
        place = (opened.info.georeference.crs, None if found.record.scene else found.crs, *opened.info.centre())
        accuracy = accuracy_warnings(f"positions of '{found.name}' in the scene", [place], opened.info.gsd_m)
    warnings = (*notes, *_warnings(found, placed), *accuracy)
    colours = {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in placed.colours().items()}
    calibration = found.record.calibration or {}
    data = {
        **_georeferencing(opened.info),
        "index": index,
        "about": f"{opened.info.width:,} x {opened.info.height:,} pixels, {found.path.name}",
        "classes": [
            {
                "name": name or "no class",
                "colour": colour,
                "count": placed.counts[name],
                "calibration": calibration[name].as_json() if name in calibration else None,
            }
            for name, colour in colours.items()
        ],
        "least": _first_minimum(found.record, placed),
        "thresholds": _thresholds(placed, colours),
        "objects": _pack(placed, list(colours)),
        "holes": pack_polygons(np.empty(0, object) if areas is None else areas),
        "reasons": reasons,
        "warnings": list(warnings),
        "coverage": _coverage(found.record, holes is not None),
        "provenance": provenance_rows(replace(found.record, tiles=None, calibration=None).as_json())
        or [("layer", "has no processing metadata")],
    }
    text = make_page("scene.html", SCRIPTS, opened.info.name, data, picture_address(picture))
    write_text(text, target)
    centres, names = _centres(placed, frame)
    return ScenePage(
        placed.counts.total(), placed.candidates, placed.counts, picture, colours, opened.info, warnings, centres, names
    )


def _centres(placed: PlacedLayer, frame: Frame) -> tuple[FloatArray, NDArray[Any]]:
    """Centres of the objects that are no candidates, as shares of width and height, and their classes."""
    objects = placed.objects
    least = np.array([placed.least_scores.get(name, 0.0) for name in objects.names])
    found = ~(objects.scores < least)  # one without a score is certain
    x1, y1, x2, y2 = shapely.bounds(objects.shapes[found]).reshape(-1, 4).T
    centres = np.column_stack([(x1 + x2) / 2 / frame.width, (y1 + y2) / 2 / frame.height])
    return centres, objects.names[found]


def write_text(text: str, target: Path) -> None:
    """Writes a page, which appears only when it is complete.

    Raises:
        OutputError: if it cannot be written.
    """
    with Publication() as publication:
        try:
            # File names need not be valid UTF-8.
            publication.draft(target).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(
                f"page '{target}' cannot be written: {error.strerror}; free space there or choose another folder"
            ) from error
        publication.publish()


def _open(scene: str, bands: tuple[int, int, int] | None, crs: str | None) -> Scene:
    try:
        return open_scene(scene, bands, crs)
    except UsageError:  # a copy of the scene with fewer bands
        return open_scene(scene, crs=crs)


def _crs(record: RunRecord) -> str | None:
    """The CRS that the user gave with the scene, if the layer records one."""
    given = (record.parameters or {}).get("crs")
    return given if isinstance(given, str) else None


def _frame(info: SceneInfo) -> Frame:
    """The plane of the page: scene pixels, or squares on the ground where they are not."""
    georeference, (across, down) = info.georeference, info.pixel_shape

    def to_plane(xs: FloatArray, ys: FloatArray) -> tuple[FloatArray, FloatArray]:
        columns, rows = georeference.to_pixel(xs, ys)
        return columns * across, rows * down

    def to_map(xs: FloatArray, ys: FloatArray) -> tuple[FloatArray, FloatArray]:
        return georeference.to_map(xs / across, ys / down)

    return Frame(georeference.crs, info.width * across, info.height * down, to_plane, to_map)


def _georeferencing(info: SceneInfo) -> dict[str, Any]:
    """A scene's size and georeferencing, as its page needs them."""
    georeference = info.georeference
    affine, crs = georeference.affine, georeference.crs
    name = None if crs is None else (crs.to_string() if crs.to_authority() else crs.name)
    across, down = info.pixel_shape
    sizes = (across, down, 1.0, across, down, 1.0)
    plane = None if affine is None else [term / size for term, size in zip(tuple(affine)[:6], sizes, strict=True)]
    return {
        "size": [info.width * across, info.height * down],
        "pixel": [across, down],
        # The scale bar is parallel to the rows.
        "metres": None if info.pixel_size_m is None else info.pixel_size_m[0] / across,
        "north": north_in_picture(georeference, info.width, info.height, info.pixel_shape),
        "crs": name,
        "affine": None if crs is None else plane,
    }


def _pack(placed: PlacedLayer, classes: list[str]) -> dict[str, str]:
    objects = placed.objects
    labels = {name: label for label, name in enumerate(classes)}
    scores = np.rint(np.clip(objects.scores, 0, 1) * SCORE_STEPS)
    return {
        **pack_polygons(objects.shapes),
        "ids": pack(np.clip(objects.ids, -(2**31), 2**31 - 1), "<i4"),
        "labels": pack(np.array([labels[name] for name in objects.names], np.int64), "<u2"),
        "scores": pack(np.nan_to_num(scores, nan=NO_SCORE), "<u2"),
        "areas": pack(objects.areas_m2, "<f4"),
    }


def _warnings(layer: LayerFile, placed: PlacedLayer) -> tuple[str, ...]:
    lines = []
    if placed.counts.total() > len(placed.objects):
        lines.append(
            f"the page shows the {len(placed.objects):,} highest-scoring of {placed.counts.total():,} objects; "
            "use 'lcageo filter' to make smaller layers"
        )
    if placed.outside:
        lines.append(f"left out: {plural(placed.outside, 'feature')} of '{layer.name}' outside the scene")
    if placed.shapeless:
        lines.append(
            f"left out: {plural(placed.shapeless, 'feature')} of '{layer.name}' without an area or valid coordinates"
        )
    return (*lines, *apart_note(f"'{layer.name}'", placed.apart))


def _thresholds(placed: PlacedLayer, names: Iterable[str]) -> list[int] | None:
    """Each class's threshold in SCORE_STEPS, which the page starts with; None if the layer has no candidates."""
    least = placed.least_scores
    return [round(least.get(name, 0.0) * SCORE_STEPS) for name in names] if placed.candidates else None


def _first_minimum(record: RunRecord, placed: PlacedLayer) -> int:
    """The slider's first position, in SCORE_STEPS: the lowest score threshold that the layer was made with.

    With `detect --keep`, a layer also has objects below the thresholds.
    """
    lowest = np.min(placed.objects.scores, initial=1.0, where=np.isfinite(placed.objects.scores))
    wanted = min((record.thresholds or {}).values(), default=0.0)
    # At the layer's lowest score or below, rounding to the slider's step would hide objects.
    return 0 if wanted <= lowest + 1 / SCORE_STEPS else int(wanted * 100 + 1e-9) * (SCORE_STEPS // 100)


def _coverage(record: RunRecord, has_holes: bool) -> list[tuple[str, str]]:
    """How much of the scene was searched, in tiles, as rows of a table."""
    tiles = record.tiles
    if tiles is None:
        return [("tiles", "not recorded in the layer")]
    rows = [
        (name.replace("_", " "), f"{count:,} ({count / tiles.planned:.1%})" if tiles.planned else f"{count:,}")
        for name, count in tiles.as_json().items()
    ]
    if tiles.unreadable and not has_holes:
        rows.append(("where", "use detect --holes, then report --holes"))
    return rows


def _stretch(record: RunRecord) -> Stretch | None:
    """The detector's contrast stretch, if the layer records it."""
    values = record.stretch
    if values is None or not all(low != high for low, high in zip(values.low, values.high, strict=True)):
        return None
    return Stretch(values.low, values.high)


def _bands(record: RunRecord) -> tuple[int, int, int] | None:
    """The bands that the detector read as red, green and blue, if the layer records them."""
    if record.bands is None:
        return None
    red, green, blue = record.bands
    return red, green, blue
