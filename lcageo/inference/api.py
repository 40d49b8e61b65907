"""From a scene to map features in one call, for notebooks and scripts."""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING, Unpack

from lcageo.config import Backend, DetectConfig, DetectOptions, Precision, RunnerConfig, choice
from lcageo.inference.asked import open_asked
from lcageo.inference.factory import open_predictor
from lcageo.inference.scene import detect_scene
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.restriction import restriction_notice
from lcageo.vector.features import features

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


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

    Warnings of the command become UserWarnings; what a restricted model may be used for is logged by the logger
    'lcageo', once on each machine. Nothing is written, and an interrupted call starts over. To run one model over
    several scenes, load it once with `load_predictor` and call `detect_scene`.

    Args:
        scene: path of a raster, or any other GDAL data set name, such as '/vsicurl/https://...'.
        model: name of a shipped model, a model card or a model folder; None: the command's default model.
        device: 'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:N' or 'mps'.
        backend: what runs the model: 'auto', 'openvino', 'onnx', 'torch' or 'compiled'.
        precision: 'auto', 'fp32', 'bf16', 'fp16' or 'int8'.
        **options: what to find and how, named as in DetectConfig: score=0.4, classes=["ship"], aoi="port.gpkg".

    Returns:
        A polygon per object, best first, in the scene's CRS (pixels if it has none), with id, class, class_id, score,
        width_m, height_m, area_m2 and scene. The record of the run is in `attrs["lcageo"]`, JSON-ready.

    Raises:
        UsageError: if an argument cannot be used, or the area of interest misses the scene.
        ModelError: if there is no such model.
        SceneError: if the scene cannot be opened, or no part of it can be read.
        DeviceError: if the device is not available, or its memory does not hold a tile.
    """
    config = DetectConfig.of(options)
    asked = RunnerConfig(
        None if model is None else os.fspath(model),
        device,
        choice(Backend, backend, "backend"),
        choice(Precision, precision, "precision"),
    )
    predictor = open_predictor(asked, config, _Warnings())
    with open_asked(os.fspath(scene), predictor.card, config) as opened:
        result = detect_scene(opened, predictor, config, warn=lambda line: warnings.warn(line, stacklevel=2))
    info, place = result.summary.info, result.summary.info.georeference
    found = features(result.detections, result.summary.classes, place.to_map, place.crs, info.name)
    if result.summary.holes:
        warnings.warn(f"parts are missing from the result: {result.summary.hole_text()}", stacklevel=2)
    found.attrs["lcageo"] = result.summary.record.as_json()
    return found


class _Warnings:
    """Turns warnings into Python's own, and drops all other messages."""

    def warn(self, line: str) -> None:
        """Raises a UserWarning at the caller of `detect`."""
        warnings.warn(line, stacklevel=5)

    def note(self, line: str) -> None:
        """Drops the message."""

    def detail(self, line: str) -> None:
        """Drops the message."""

    def restriction(self, card: ModelCard) -> None:
        """Logs the notice instead of warning: with -W error, only the first run on a machine would fail."""
        if notice := restriction_notice(card):
            logging.getLogger("lcageo").warning(notice)
