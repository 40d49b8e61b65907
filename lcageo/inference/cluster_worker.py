"""What a worker of a cluster does: some tiles of a scene, whose outcomes go back as small arrays."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig, Engine
from lcageo.errors import DeviceError, ModelError
from lcageo.inference.identity import absolute
from lcageo.inference.journal import TileOutcome
from lcageo.inference.plan import ScenePlan
from lcageo.inference.runner import LocalRunner
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import Predictor, load_engine
from lcageo.scene.edges import EdgeMask
from lcageo.scene.prefetch import TileReader
from lcageo.scene.raster import open_scene
from lcageo.scene.stretch import Stretch
from lcageo.scene.tiles import TileGrid
from lcageo.version import __version__


@dataclass(frozen=True, slots=True)
class SceneWork:
    """How tiles of one scene are read."""

    path: str
    """On storage that all workers share, or a GDAL path such as /vsis3/..."""
    bands: tuple[int, ...]
    stretch: Stretch
    edge: EdgeMask | None
    grid: TileGrid
    tile_size: int
    fill: tuple[int, int, int]

    @classmethod
    def of(cls, plan: ScenePlan) -> SceneWork:
        """What a worker needs to know of a plan."""
        reader = plan.reader
        info = reader.scene.info
        return cls(
            absolute(info.path), info.bands, reader.stretch, reader.edge, plan.grid, reader.tile_size, reader.fill
        )


def passed_on(work: SceneWork) -> SceneWork:
    """The same: as a task's result, Dask makes it anew when the worker that holds it dies."""
    return work


def ignore_interrupts() -> None:
    """Leaves Ctrl-C to the client, whose terminal its own workers share."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class ModelWork:
    """Which model a worker runs, and how. Hashable, so that it is loaded once."""

    card: ModelCard
    config: DetectConfig
    asked: Engine
    version: str = __version__

    def __hash__(self) -> int:
        return hash((self.card.sha256, self.config, self.asked))


def run_unit(
    work: SceneWork, model: ModelWork, batch: int, tiles: NDArray[np.int64]
) -> tuple[list[TileOutcome], list[str]]:
    """Runs some tiles of a scene on this worker; gives their outcomes and what the user should read.

    Raises:
        SceneError: if the scene cannot be opened here.
        ModelError: if the model is not here.
        DeviceError: if the device is not here, or this worker has another version of the tool.
    """
    runner, told = LocalRunner(predictor_of(model), batch), list[str]()
    with open_scene(work.path, work.bands) as scene:
        reader = TileReader(scene, work.stretch, work.edge, work.tile_size, work.fill)
        plan = ScenePlan(reader, work.grid, np.zeros(0, np.bool_), None, ())
        outcomes = [outcome for some in runner.run(plan, tiles, told.append) for outcome in some]
    return outcomes, told


@lru_cache(maxsize=2)
def predictor_of(model: ModelWork) -> Predictor:
    """The model, loaded on this worker once; errors as of run_unit."""
    if model.version != __version__:
        raise DeviceError(f"a worker has lcageo {__version__}, not {model.version}; install the same everywhere")
    return load_engine(_card_here(model.card), model.config, model.asked)


def _card_here(card: ModelCard) -> ModelCard:
    """The card with the weights where this worker has them: at the same path, or with its own installation."""
    if Path(card.weights).exists():
        return card
    own = find_card(card.name)
    if own.sha256 != card.sha256:
        raise ModelError(
            f"a worker has another model '{card.name}' (SHA-256 {own.sha256[:8]}..., not {card.sha256[:8]}...); put "
            "the model's folder on storage that all share"
        )
    return replace(card, weights=own.weights)


def engine_of(model: ModelWork) -> tuple[Engine, int]:
    """What runs the model here, and how many tiles it likes at a time; errors as of run_unit."""
    predictor = predictor_of(model)
    return predictor.engine, predictor.batch


def units(
    grid: TileGrid, todo: NDArray[np.int64], at_least: int, most: int, whole_rows: bool
) -> list[NDArray[np.int64]]:
    """Tiles cut into pieces of work that lie together, so that few blocks of the file are decoded by two workers.

    Args:
        grid: of the scene.
        todo: (N,) indices of the tiles.
        at_least: pieces wanted, to keep all workers busy.
        most: tiles in a piece, about.
        whole_rows: whether pieces are rows of tiles, as fits files in strips; else they are squares.
    """
    across = len(grid.col_starts)
    size = max(1, min(most, len(todo) // max(1, at_least)))
    side = across if whole_rows else max(1, round(size**0.5))
    rows = max(1, round(size / min(side, across)))
    row, column = np.divmod(todo, across)
    place = row // rows * (across // side + 1) + column // side
    order = np.argsort(place, kind="stable")
    cuts = np.flatnonzero(np.diff(place[order])) + 1
    return np.split(todo[order], cuts) if len(todo) else []
