"""Opens what the user's settings ask for: a predictor, a runner in this process, or one on a cluster."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from lcageo.config import Backend, DetectConfig, RunnerConfig
from lcageo.errors import DeviceError, LcageoError, UsageError, unexpected
from lcageo.plural import plural
from lcageo.runtime import machine
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.deferred import DeferredPredictor
from lcageo.runtime.predictor import CPU_ONLY, Predictor, check_asked, is_for_cpu, load_engine, must_prepare

if TYPE_CHECKING:  # evaluation of whole images runs where there is no rasterio
    from lcageo.inference.runner import LocalRunner, TileRunner


_KEPT: list[LocalRunner] = []
"""The last runner, which is never freed: a command ends soon after, and freeing a graph takes a tenth of a second."""


class Messages(Protocol):
    """Shows messages to the user, as verbosely as requested."""

    def warn(self, line: str) -> None:
        """Shows a warning."""

    def note(self, line: str) -> None:
        """Shows an ordinary message."""

    def detail(self, line: str) -> None:
        """Shows a message in verbose mode only."""

    def restriction(self, card: ModelCard) -> None:
        """Shows what the model's licence restricts it to, if anything."""


def open_predictor(asked: RunnerConfig, config: DetectConfig, say: Messages, deferred: bool = False) -> Predictor:
    """Loads a model for a device, backend and precision.

    Args:
        asked: the model and what runs it.
        config: which boxes to return.
        say: shows messages.
        deferred: whether it may be loaded later, in the background, unless its graph has to be exported first.

    Raises:
        ModelError: if there is no such model, or it is damaged.
        DeviceError: if the device or the backend is not available.
        UsageError: if the model cannot do what the config asks for.
    """
    card, engine = _find_card(asked, say), asked.engine

    def load(side: int) -> Predictor:
        try:
            predictor = load_engine(card, config, engine, side)
        except (LcageoError, MemoryError):
            raise
        except Exception as error:  # of a broken package, for instance: it ends the run, not one scene after the other
            raise DeviceError(unexpected(error)) from error
        say.detail(f"runs with {predictor.engine}")
        precision = predictor.engine.precision
        if not card.agrees_in(precision):
            say.warn(f"model '{card.name}' has not been checked to find the same objects in {precision} as in fp32")
        return predictor

    if must_prepare(card, engine):
        say.note(f"preparing model '{card.name}' for this machine, once: about twenty seconds")
    elif deferred and is_for_cpu(engine):
        check_asked(card, config, engine)
        return DeferredPredictor(card, load)
    return load(card.tile_size)


def local_runner(asked: RunnerConfig, config: DetectConfig, say: Messages, deferred: bool = False) -> LocalRunner:
    """A runner in this process; arguments and errors as in `open_predictor`.

    Raises:
        UsageError: if the memory limit is too small for a single tile.
    """
    from lcageo.inference.runner import LocalRunner

    predictor = open_predictor(asked, config, say, deferred and asked.max_memory is None)
    if asked.max_memory is None:
        return LocalRunner(predictor, asked.batch)
    from lcageo.inference.memory import fit_to_memory

    runner = fit_to_memory(predictor, asked.batch or predictor.batch, asked.max_memory)
    say.detail(f"{plural(runner.batch, 'tile')} at a time, {runner.max_cache_bytes / 1e6:,.0f} MB of decoded blocks")
    return runner


@contextmanager
def open_runner(
    asked: RunnerConfig, config: DetectConfig, say: Messages, deferred: bool = False
) -> Generator[TileRunner, None, None]:
    """A runner in this process, or on the workers of a cluster; errors as in `local_runner` and `cluster_runner`."""
    if asked.cluster is None:
        # Not waited for at the end: an interruption can leave an import that the main thread was in locked for ever.
        Thread(target=_import_aside, args=(asked,), name="lcageo-import", daemon=True).start()
        here = local_runner(asked, config, say, deferred)
        _KEPT[:] = [here]
        yield here
        return
    if asked.max_memory is not None:
        raise UsageError("--max-memory is for one process; with --cluster, use --batch and limit the workers' memory")
    from lcageo.inference.cluster import cluster_runner  # Dask takes a second to load

    card = _find_card(asked, say)
    with cluster_runner(asked.cluster, card, config, asked.engine, asked.batch) as runner:
        say.note(f"{runner.workers} worker(s) at {asked.cluster}, the first one with {runner.engine}")
        yield runner


def _import_aside(asked: RunnerConfig) -> None:
    """Imports what will be needed: the backend, whose model then loads in C++, and what writes results.

    pandas, which geopandas imports, takes as long as the model to load. Not pyogrio: it sets environment variables,
    which C++ may be reading.
    """
    backend = CPU_ONLY[0] if asked.backend is Backend.AUTO else asked.backend
    for package in (*([machine.PACKAGE[backend]] if is_for_cpu(asked.engine) else []), "geopandas"):
        with suppress(Exception):  # who needs it imports it again, and reports the error
            import_module(package)


def _find_card(asked: RunnerConfig, say: Messages) -> ModelCard:
    card = find_card(asked.model, asked.about)
    if card.layout is not None and not card.has_gsd:
        say.warn(
            f"model '{card.name}' does not say for which resolution it was trained, so scenes are searched at their "
            "own; if that is another one, give --model-gsd in metres per pixel"
        )
    if not card.is_trained:
        say.warn(f"model '{card.name}' is untrained: its boxes are meaningless")
    say.detail(f"model {card.name}; trained on: {card.trained_on or 'nothing'}")
    say.detail(f"licence of the weights: {card.licence}")
    say.restriction(card)
    return card
