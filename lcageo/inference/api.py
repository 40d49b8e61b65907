"""A scene to map features in one call, for notebooks and scripts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from lcageo.config import Backend, DetectConfig, EdgeNodata, Engine, MergeMetric, Precision
from lcageo.errors import ConfigError
from lcageo.inference.scene import detect_scene
from lcageo.runtime.catalog import find_card
from lcageo.runtime.predictor import load_engine
from lcageo.scene.raster import open_scene
from lcageo.vector.features import features

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

Choice = TypeVar("Choice", bound=StrEnum)


class DetectOptions(TypedDict, total=False):
    """DetectConfig's settings as keyword arguments; there they are told, and have their defaults."""

    score: float | None
    keep: float | None
    classes: Sequence[str]
    max_per_tile: int
    overlap: str | None
    gsd: float | str
    iou: float
    merge_metric: MergeMetric | str
    agnostic: bool
    bands: Sequence[int]
    stretch: str
    edge_nodata: EdgeNodata | str
    aoi: str | os.PathLike[str] | None
    bbox: tuple[float, float, float, float] | None
    bbox_crs: str | None


def detect(
    scene: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    device: str = "auto",
    backend: Backend | str = Backend.AUTO,
    precision: Precision | str = Precision.AUTO,
    **options: Unpack[DetectOptions],
) -> GeoDataFrame:
    """Finds objects in a scene: what `lcageo detect` writes, as a GeoDataFrame.

    What the command would warn of becomes a UserWarning. Nothing is written, and an interrupted call begins anew; for
    several scenes with one model, `load_predictor` and `detect_scene` load it once.

    Args:
        scene: path of a raster, or what GDAL takes for one, such as '/vsicurl/https://...'.
        model: name of a shipped model, a model card or a model folder; None: the model that the command takes.
        device: 'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:N' or 'mps'.
        backend: what runs the model: 'auto', 'openvino', 'onnx', 'torch' or 'compiled'.
        precision: 'auto', 'fp32', 'bf16', 'fp16' or 'int8'.
        **options: what to find and how, by the names of DetectConfig: score=0.4, classes=["ship"], aoi="port.gpkg".

    Returns:
        A polygon per object, best first, in the scene's CRS (pixels if it has none), with id, class, class_id, score,
        width_m, height_m, area_m2 and scene. How it came about is in `attrs["lcageo"]`, JSON-ready.

    Raises:
        UsageError: if an argument cannot be used, or the area of interest misses the scene.
        ModelError: if there is no such model.
        SceneError: if the scene cannot be opened, or no part of it be read.
        DeviceError: if the device is not there, or cannot hold a tile.
    """
    config = _config(options)
    asked = Engine(_choice(Backend, backend, "backend"), _choice(Precision, precision, "precision"), device)
    card = find_card(None if model is None else os.fspath(model))
    if not card.is_trained:
        warnings.warn(f"model '{card.name}' is untrained: its boxes mean nothing", stacklevel=2)
    predictor = load_engine(card, config, asked)
    if not card.agrees_in(predictor.engine.precision):
        numbers = predictor.engine.precision
        warnings.warn(f"model '{card.name}' was not measured to find in {numbers} what it finds in fp32", stacklevel=2)
    with open_scene(os.fspath(scene), config.bands) as opened:
        result = detect_scene(
            opened, predictor, config, predictor.batch, lambda line: warnings.warn(line, stacklevel=2)
        )
    info, place = result.summary.info, result.summary.info.georeference
    found = features(result.detections, card.classes, place.to_map, place.crs, info.name)
    if result.summary.holes:
        warnings.warn(f"parts are missing from the result: {result.summary.hole_text()}", stacklevel=2)
    found.attrs["lcageo"] = result.summary.record.as_json()
    return found


def _config(options: DetectOptions) -> DetectConfig:
    """The same settings in the types that DetectConfig has."""
    unknown = set(options) - set(DetectOptions.__annotations__)
    if unknown:
        raise ConfigError(f"there is no option {', '.join(sorted(unknown))}; see lcageo.DetectConfig")
    plain: dict[str, Any] = dict(options)
    if isinstance(options.get("classes"), str):
        raise ConfigError(f"classes {options['classes']!r} is one text; give a list of names")
    for name in ("classes", "bands", "bbox"):
        if plain.get(name) is not None:
            plain[name] = tuple(plain[name])
    if plain.get("aoi") is not None:
        plain["aoi"] = Path(plain["aoi"])
    for name, kind in (("merge_metric", MergeMetric), ("edge_nodata", EdgeNodata)):
        if name in plain:
            plain[name] = _choice(kind, plain[name], name)
    return DetectConfig(**plain)


def _choice(kind: type[Choice], value: str, name: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(f"{name} {value!r} is not known; give one of {', '.join(kind)}") from None
