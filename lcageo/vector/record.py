"""The record of a run: what it writes into its results, and what other commands read there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lcageo.appearance import is_unfamiliar
from lcageo.calibration import Calibration
from lcageo.remote import public
from lcageo.vector.columns import SCORE_DIGITS
from lcageo.vector.formats import RecordPlace, VectorFormat, sidecar

_HEAD = 1 << 20
"""Bytes of a GeoJSON file that are searched for the record's start: GDAL writes foreign members first."""
_FEATURES = re.compile(rb'"features"\s*:\s*\[')


@dataclass(frozen=True, slots=True)
class TileCounts:
    """Numbers of tiles of a scene, by what happened to them."""

    planned: int = 0
    outside_area_of_interest: int = 0
    without_data: int = 0
    unreadable: int = 0
    run: int = 0

    def as_json(self) -> dict[str, int]:
        """The counts by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True, slots=True)
class SceneGrid:
    """The grid of the scene that objects were found in, to convert map features back to pixel boxes."""

    size: tuple[int, int]
    """Width and height, pixels."""
    crs: str | None
    """The scene's CRS; None if it has none."""
    transform: tuple[float, ...] | None
    """a to f of x = a * column + b * row + c, y = d * column + e * row + f; None if not affine."""
    classes: tuple[str, ...]
    """The model's class names."""

    def as_json(self) -> dict[str, Any]:
        """All entries, JSON-ready."""
        return {
            "size": list(self.size),
            "crs": self.crs,
            "transform": None if self.transform is None else list(self.transform),
            "classes": list(self.classes),
        }


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The scene values per band (red, green, blue) that were mapped to 0 and to 255 for the model."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def as_json(self) -> dict[str, list[float]]:
        """Both ends."""
        return {"low": list(self.low), "high": list(self.high)}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The model, parameters and coverage behind a layer. An entry is None (or empty) if it is not recorded.

    Other programs and other versions of lcageo may have processed a layer: entries that are unknown or not of the
    expected type are kept unchanged in `unknown`.
    """

    version: str | None = None
    """The version of lcageo."""
    model: str | None = None
    model_sha256: str | None = None
    trained_on: str | None = None
    licence: str | None = None
    engine: str | None = None
    """Backend, device and precision that ran the model, as text."""
    run: str | None = None
    """Short name, equal for all runs that must give the same result; None for layers of no single run."""
    scene: str | None = None
    """Path of the scene."""
    stac_item: str | None = None
    """Identifier of the STAC item that the scene is an asset of."""
    scene_grid: SceneGrid | None = None
    crs: str | None = None
    """CRS of the layer; see `of_pixels` for layers without one."""
    placed_by: str | None = None
    """How the scene is georeferenced."""
    parameters: Mapping[str, Any] | None = None
    """Settings of the run by name."""
    thresholds: Mapping[str, float] | None = None
    """Minimum score of the objects of each class."""
    calibration: Mapping[str, Calibration] | None = None
    """How probably an object of a given score is right, per class."""
    bands: tuple[int, ...] | None = None
    """1-based bands that were used as red, green and blue."""
    stretch: ValueRange | None = None
    scene_gsd_m: float | None = None
    scene_pixels_per_tile_pixel: tuple[float, float] | None = None
    """Along rows and along columns; one number in JSON if they are equal."""
    tiles: TileCounts | None = None
    boxes_of_impossible_size: int | None = None
    """Number of boxes that were left out because no object of their class has such a size."""
    distance_from_training: float | None = None
    """How unlike the model's training images the scene looks; 95 % of them have less than 1."""
    edge_nodata: str | None = None
    """Value of the untagged edge that was treated as nodata, as text."""
    filtered: tuple[Mapping[str, Any], ...] = ()
    """Criteria of `lcageo filter`, one entry for each time that it was applied."""
    appended: tuple[RunRecord, ...] = ()
    """Records of the runs whose objects were appended."""
    nulls: frozenset[str] = frozenset()
    """Names of entries that are recorded as null: known to be absent, in contrast to entries that are not recorded."""
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Entries that are unknown or not of the expected type."""

    @classmethod
    def from_json(cls, content: object) -> RunRecord:
        """Parses the record that a layer holds; empty if lcageo did not write the layer."""
        if not isinstance(content, Mapping):
            return cls()
        known: dict[str, Any] = {}
        unknown: dict[str, Any] = {}
        nulls = frozenset(name for name, value in content.items() if value is None and name in _PARSERS)
        for name, value in content.items():
            parsed = _PARSERS[name](value) if name in _PARSERS and value is not None else None
            if parsed is not None:
                known[name] = parsed
            elif name not in nulls:
                unknown[name] = value
        return cls(**known, nulls=nulls, unknown=unknown)

    def as_json(self) -> dict[str, Any]:
        """All entries that are recorded, JSON-ready."""
        entries = {name: getattr(self, name) for name in _PARSERS}
        recorded = {name: _plain(value) for name, value in entries.items() if value not in (None, ())}
        if (scale := self.scene_pixels_per_tile_pixel) is not None and scale[0] == scale[1]:
            recorded["scene_pixels_per_tile_pixel"] = scale[0]
        kept = {name: recorded.get(name) for name in _PARSERS if name in recorded or name in self.nulls}
        return {**kept, **self.unknown}

    @property
    def of_pixels(self) -> bool:
        """Whether the layer's coordinates are known to be pixels of a scene without CRS."""
        return self.crs is None and "crs" in self.nulls

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the scene looks less like the model's training images than nearly all of these do."""
        return is_unfamiliar(self.distance_from_training)

    def least_scores(self) -> dict[str, float]:
        """Minimum score of the objects found, per class, rounded as in layers; the lowest one where some were appended.

        What scores less was kept as a candidate.
        """
        lowest: dict[str, float] = {}
        for record in self.all_runs:
            for name, score in (record.thresholds or {}).items():
                lowest[name] = min(round(score, SCORE_DIGITS), lowest.get(name, 1.0))
        return lowest

    @property
    def has_candidates(self) -> bool:
        """Whether objects below those scores may be among the others (`detect --keep`)."""
        runs = [record for record in self.all_runs if not record.filtered]  # filtering leaves no candidates
        return any((record.parameters or {}).get("keep") is not None for record in runs)

    @property
    def all_runs(self) -> tuple[RunRecord, ...]:
        """All records of the layer, one for each time that objects were written to it."""
        return tuple(record for record in (self, *self.appended) if record.as_json())


def _plain(value: Any) -> Any:
    """An entry, JSON-ready."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return value.as_json() if hasattr(value, "as_json") else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return value if _is_number(value) else None


def _whole(value: Any) -> int | None:
    return value if _is_number(value) and isinstance(value, int) else None


def _numbers(value: Any) -> tuple[float, ...] | None:
    return tuple(value) if isinstance(value, list) and all(map(_is_number, value)) else None


def _pair(value: Any) -> tuple[float, float] | None:
    """Two numbers, or one that stands for both."""
    numbers = (value, value) if _is_number(value) else _numbers(value)
    return None if numbers is None or len(numbers) != 2 else (numbers[0], numbers[1])


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _thresholds(value: Any) -> Mapping[str, float] | None:
    return value if isinstance(value, Mapping) and all(map(_is_number, value.values())) else None


def _calibration(value: Any) -> Mapping[str, Calibration] | None:
    try:
        return {name: Calibration(**curve) for name, curve in value.items()}
    except (AttributeError, TypeError, ValueError):
        return None


def _bands(value: Any) -> tuple[int, ...] | None:
    numbers = _numbers(value)
    return None if numbers is None or len(numbers) != 3 else tuple(map(int, numbers))


def _range(value: Any) -> ValueRange | None:
    if not isinstance(value, Mapping):
        return None
    low, high = _numbers(value.get("low")), _numbers(value.get("high"))
    if low is None or high is None or not len(low) == len(high) == 3:
        return None
    return ValueRange((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _tiles(value: Any) -> TileCounts | None:
    names = {entry.name for entry in fields(TileCounts)}
    if not isinstance(value, Mapping) or not set(value) <= names or None in map(_whole, value.values()):
        return None
    return TileCounts(**value)


def _grid(value: Any) -> SceneGrid | None:
    if not isinstance(value, Mapping):
        return None
    size, classes, transform = _numbers(value.get("size")), value.get("classes"), _numbers(value.get("transform"))
    if size is None or len(size) != 2 or not isinstance(classes, list) or not all(map(_text, classes)):
        return None
    if transform is not None and len(transform) != 6:
        return None
    return SceneGrid((int(size[0]), int(size[1])), _text(value.get("crs")), transform, tuple(classes))


def _filtered(value: Any) -> tuple[Mapping[str, Any], ...] | None:
    return tuple(value) if isinstance(value, list) and all(isinstance(one, Mapping) for one in value) else None


def _appended(value: Any) -> tuple[RunRecord, ...] | None:
    return tuple(map(RunRecord.from_json, value)) if isinstance(value, list) else None


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("version", "model", "model_sha256", "trained_on", "licence", "engine", "run"), _text),
    "scene": lambda value: public(value) if isinstance(value, str) else None,
    "stac_item": _text,
    "scene_grid": _grid,
    "crs": _text,
    "placed_by": _text,
    "parameters": _mapping,
    "thresholds": _thresholds,
    "calibration": _calibration,
    "bands": _bands,
    "stretch": _range,
    "scene_gsd_m": _number,
    "scene_pixels_per_tile_pixel": _pair,
    "tiles": _tiles,
    "boxes_of_impossible_size": _whole,
    "distance_from_training": _number,
    "edge_nodata": _text,
    "filtered": _filtered,
    "appended": _appended,
}
"""Parser of each entry, which returns None if the value is of another type; in the order of the JSON."""


def record_json(path: Path, form: VectorFormat | None, metadata: Mapping[str, str]) -> Any:
    """The record of a layer as JSON, from where its format keeps it; None if something else is there.

    Other programs keep a description in words in the same position.

    Args:
        path: the layer's file.
        form: its format, if it is one of ours.
        metadata: what GDAL calls the layer's metadata.
    """
    try:
        return json.JSONDecoder().raw_decode(_record_text(path, form, metadata))[0]
    except ValueError:
        return None


def _record_text(path: Path, form: VectorFormat | None, metadata: Mapping[str, str]) -> str:
    """Text that starts with the record, if there is one."""
    if not path.is_file():  # a URL, or inside an archive
        return metadata.get("lcageo") or metadata.get("DESCRIPTION") or ""
    is_geojson = path.suffix.lower() == ".json"  # as other programs name it
    if is_geojson or (form is not None and form.record is RecordPlace.FOREIGN_MEMBER):
        with path.open("rb") as file:
            head = file.read(_HEAD)
            before, _, record = head.partition(b'"lcageo":')
            if b'"FeatureCollection"' not in before or _FEATURES.search(before):
                return ""
            while record and not _FEATURES.search(record) and (more := file.read(_HEAD)):  # of hundreds of runs
                record += more
        return record.decode("utf-8", "replace").lstrip()
    if sidecar(path).is_file():
        return sidecar(path).read_text("utf-8")
    return metadata.get("lcageo") or metadata.get("DESCRIPTION") or ""
