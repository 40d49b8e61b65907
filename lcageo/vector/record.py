"""How a layer of objects came about: what a run writes into its results, and what other commands read there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class TileCounts:
    """How many tiles a scene was cut into, and what became of them."""

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
    """What brings map features back to boxes in the pixels of the scene they were found in."""

    size: tuple[int, int]
    """Width and height, pixels."""
    crs: str | None
    """The scene's CRS; None if it has none."""
    transform: tuple[float, ...] | None
    """a to f of x = a * column + b * row + c, y = d * column + e * row + f; None: not affine."""
    classes: tuple[str, ...]
    """The model's class names."""

    def as_json(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {
            "size": list(self.size),
            "crs": self.crs,
            "transform": None if self.transform is None else list(self.transform),
            "classes": list(self.classes),
        }


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The scene values per band (red, green, blue) that were shown to the model as 0 and as 255."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def as_json(self) -> dict[str, list[float]]:
        """Both ends."""
        return {"low": list(self.low), "high": list(self.high)}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The model, the parameters and the coverage behind a layer. An entry is None (or empty) where nothing is recorded.

    Layers pass through other programs, and other versions of this one: entries that are not known here, or are not of
    the type that they should be, are kept as they are in `unknown`.
    """

    version: str | None = None
    """The version of lcageo."""
    model: str | None = None
    model_sha256: str | None = None
    trained_on: str | None = None
    licence: str | None = None
    engine: str | None = None
    """What ran the model, as text."""
    run: str | None = None
    """Short name of the run, the same for all runs that must find the same; None for layers that are not one run's."""
    scene: str | None = None
    """Path of the scene."""
    scene_grid: SceneGrid | None = None
    crs: str | None = None
    """CRS of the layer; see `of_pixels` for layers without one."""
    placed_by: str | None = None
    """What places the scene on the map."""
    parameters: Mapping[str, Any] | None = None
    """Settings of the run by name."""
    thresholds: Mapping[str, float] | None = None
    """Minimum score of each class that the objects reach."""
    bands: tuple[int, ...] | None = None
    """1-based bands that were taken for red, green and blue."""
    stretch: ValueRange | None = None
    scene_gsd_m: float | None = None
    scene_pixels_per_tile_pixel: float | None = None
    tiles: TileCounts | None = None
    boxes_of_impossible_size: int | None = None
    """Boxes that were left out because nothing of their class has such a size."""
    edge_nodata: str | None = None
    """Colour of the untagged edge that was taken for nodata."""
    filtered: tuple[Mapping[str, Any], ...] = ()
    """What `lcageo filter` was asked to keep, once for every time that it ran."""
    appended: tuple[RunRecord, ...] = ()
    """Records of the objects that were appended to the first ones."""
    nulls: frozenset[str] = frozenset()
    """Names of entries that are recorded as null: the scene has no such thing. Without a record, nothing is known."""
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Entries of other origin."""

    @classmethod
    def from_json(cls, content: object) -> RunRecord:
        """The record that a layer holds; empty if the layer is of another origin."""
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
        kept = {name: value for name, value in entries.items() if value not in (None, ()) or name in self.nulls}
        return {**{name: _plain(value) for name, value in kept.items()}, **self.unknown}

    @property
    def of_pixels(self) -> bool:
        """Whether the layer's coordinates are known to be pixels of a scene without CRS."""
        return self.crs is None and "crs" in self.nulls

    @property
    def all_runs(self) -> tuple[RunRecord, ...]:
        """How the objects came about: a record for every time that some were written."""
        return tuple(record for record in (self, *self.appended) if record.as_json())


def _plain(value: Any) -> Any:
    """An entry, JSON-ready."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
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


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _thresholds(value: Any) -> Mapping[str, float] | None:
    return value if isinstance(value, Mapping) and all(map(_is_number, value.values())) else None


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
    **dict.fromkeys(("version", "model", "model_sha256", "trained_on", "licence", "engine", "run", "scene"), _text),
    "scene_grid": _grid,
    "crs": _text,
    "placed_by": _text,
    "parameters": _mapping,
    "thresholds": _thresholds,
    "bands": _bands,
    "stretch": _range,
    "scene_gsd_m": _number,
    "scene_pixels_per_tile_pixel": _number,
    "tiles": _tiles,
    "boxes_of_impossible_size": _whole,
    "edge_nodata": _text,
    "filtered": _filtered,
    "appended": _appended,
}
"""From an entry as it was read to one of the record's, None where it is of another type; in the order of the JSON."""
