"""The work of a cluster's worker: it runs some tiles of a scene and returns their outcomes as small arrays."""

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
from lcageo.inference.plan import ScenePlan
from lcageo.inference.runner import LocalRunner
from lcageo.journal.tile_outcomes import TileOutcomes
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import Predictor, load_engine
from lcageo.scene.edges import EdgeMask
from lcageo.scene.prefetch import TileReader
from lcageo.scene.raster import open_scene
from lcageo.scene.stretch import Stretch
from lcageo.scene.tiles import TileGrid
from lcageo.version import __version__

LAST_PARTS = 4
"""Parts of a unit of work at the end of a scene: workers then wait for each other a quarter as long."""


@dataclass(frozen=True, slots=True)
class SceneWork:
    """How tiles of one scene are read."""

    address: str
    """Path on storage that all workers share, or a GDAL path such as /vsis3/..."""
    bands: tuple[int, ...]
    stretch: Stretch
    edge: EdgeMask | None
    grid: TileGrid
    tile_size: int
    fill: tuple[int, int, int]

    @classmethod
    def of(cls, plan: ScenePlan) -> SceneWork:
        """The part of a plan that a worker needs."""
        reader = plan.reader
        info = reader.scene.info
        return cls(
            absolute(info.address), info.bands, reader.stretch, reader.edge, plan.grid, reader.tile_size, reader.fill
        )


def passed_on(work: SceneWork) -> SceneWork:
    """Returns its argument: as the result of a task, Dask recomputes it when the worker that holds it dies."""
    return work


def ignore_interrupts() -> None:
    """Leaves Ctrl-C to the client, which shares its terminal with local workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class ModelWork:
    """The model that a worker runs, and how. Hashable, so that it is loaded once."""

    card: ModelCard
    config: DetectConfig
    asked: Engine
    version: str = __version__

    def __hash__(self) -> int:
        return hash((self.card.sha256, self.config, self.asked))


def run_unit(work: SceneWork, model: ModelWork, batch: int, tiles: NDArray[np.int64]) -> tuple[TileOutcomes, list[str]]:
    """Runs some tiles of a scene on this worker; returns their outcomes and messages for the user.

    Raises:
        SceneError: if the scene cannot be opened on this machine.
        ModelError: if this machine does not have the model.
        DeviceError: if it does not have the device, or has another version of the tool.
    """
    runner, messages = LocalRunner(predictor_of(model), batch), list[str]()
    with open_scene(work.address, work.bands, model.config.crs) as scene:
        reader = TileReader(scene, work.stretch, work.edge, work.tile_size, work.fill)
        plan = ScenePlan(reader, work.grid, np.zeros(0, np.bool_), None, ())
        outcomes = [part for some in runner.run(plan, tiles, messages.append) for part in some]
    return TileOutcomes.joined(outcomes), messages


@lru_cache(maxsize=2)
def predictor_of(model: ModelWork) -> Predictor:
    """The model, loaded on this worker once; errors as in `run_unit`."""
    if model.version != __version__:
        raise DeviceError(
            f"a worker has lcageo {__version__}, not {model.version}; install the same version everywhere"
        )
    return load_engine(_local_card(model.card), model.config, model.asked)


def _local_card(card: ModelCard) -> ModelCard:
    """The card with this worker's path to the weights: the same path, or that of its own installation."""
    if Path(card.weights).exists():
        return card
    own = find_card(card.name)
    if own.sha256 != card.sha256:
        raise ModelError(
            f"a worker has another model '{card.name}' (SHA-256 {own.sha256[:8]}..., not {card.sha256[:8]}...); put "
            "the model's folder on storage that all workers share"
        )
    return replace(card, weights=own.weights)


def engine_of(model: ModelWork) -> tuple[Engine, int]:
    """The engine that runs the model on this worker, and its default batch; errors as in `run_unit`."""
    predictor = predictor_of(model)
    return predictor.engine, predictor.batch


def units(
    grid: TileGrid, todo: NDArray[np.int64], min_units: int, max_tiles: int, whole_rows: bool
) -> list[NDArray[np.int64]]:
    """Divides tiles into units of neighbouring ones, so that few blocks of the file are decoded by two workers.

    Args:
        grid: of the scene.
        todo: (N,) indices of the tiles.
        min_units: minimum number of units, to keep all workers busy.
        max_tiles: maximum number of tiles in a unit, roughly.
        whole_rows: whether units are rows of tiles, which suits files stored in strips; otherwise squares.
    """
    across = len(grid.col_starts)
    size = max(1, min(max_tiles, len(todo) // max(1, min_units)))
    side = across if whole_rows else max(1, round(size**0.5))
    rows = max(1, round(size / min(side, across)))
    row, column = np.divmod(todo, across)
    unit = row // rows * (across // side + 1) + column // side
    order = np.argsort(unit, kind="stable")
    cuts = np.flatnonzero(np.diff(unit[order])) + 1
    return np.split(todo[order], cuts) if len(todo) else []


def tapered(pieces: list[NDArray[np.int64]], count: int, least: int) -> list[NDArray[np.int64]]:
    """Divides the last units into LAST_PARTS, so that all workers end at about the same time.

    Args:
        pieces: units of work, in the order in which they are submitted.
        count: number of units to divide.
        least: minimum number of tiles in a part.

    Source:
        Polychronopoulos and Kuck, "Guided Self-Scheduling", IEEE Transactions on Computers, 1987: the less work is
        left, the smaller are its pieces.
    """
    cut = max(0, len(pieces) - count)
    last = (np.array_split(piece, max(1, min(LAST_PARTS, len(piece) // least))) for piece in pieces[cut:])
    return [*pieces[:cut], *(part for parts in last for part in parts)]
