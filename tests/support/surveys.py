"""A flight of scenes, and surveys of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.bright import BrightSquares, Failing
from support.scenes import UTM, write_scene

from lcageo.config import DetectConfig
from lcageo.inference.runner import LocalRunner
from lcageo.survey.scenes import find_scenes
from lcageo.survey.state import SceneRecord
from lcageo.survey.survey import SurveyConfig, open_survey

PLACES = [(x, y, 8 + (x + y) % 9, 205 + (x * y) % 50) for x in range(6, 480, 31) for y in range(6, 380, 33)]


CONFIG = DetectConfig(overlap="24")


def cut(whole: NDArray[np.uint8], folder: Path, name: str, x: int, y: int, width: int, height: int) -> Path:
    """A part of a larger scene, georeferenced."""
    folder.mkdir(exist_ok=True, parents=True)
    place = UTM @ UTM.translation(x, y)
    return write_scene(folder / name, whole[:, y : y + height, x : x + width], transform=place)


def run(
    folder: Path, out: Path, predictor: BrightSquares | None = None, suffix: str = ".geojson", force: bool = False,
    config: DetectConfig = CONFIG,
) -> tuple[BrightSquares, list[SceneRecord]]:  # fmt: skip
    """Brings a survey up to date; the predictor has counted its batches."""
    predictor = predictor or Failing()
    with open_survey(SurveyConfig(out, suffix), config, LocalRunner(predictor)) as survey:
        jobs = survey.look(find_scenes([str(folder)], None, True, out), force)
        records = list(survey.run(jobs, lambda line: None, lambda *_: None, force))
        survey.finish(lambda line: None)
    return predictor, records


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.geojson"))}
