"""What runs a model, as it was asked for: a predictor, a runner in this process, or one on a cluster."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from lcageo.config import DetectConfig, RunnerConfig
from lcageo.errors import UsageError
from lcageo.inference.runner import LocalRunner, TileRunner
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.predictor import Predictor, load_engine, must_prepare


class Messages(Protocol):
    """Takes messages for the user, as loud as the user asked."""

    def warn(self, line: str) -> None:
        """A warning."""

    def note(self, line: str) -> None:
        """Ordinary news."""

    def detail(self, line: str) -> None:
        """What only some users want to know."""

    def restriction(self, card: ModelCard) -> None:
        """What the model's licence restricts it to, if anything."""


def open_predictor(asked: RunnerConfig, config: DetectConfig, say: Messages) -> Predictor:
    """Loads the model that was asked for, for the device, backend and precision that were asked for.

    Raises:
        ModelError: if there is no such model, or it is damaged.
        DeviceError: if the device or the backend is not available.
        UsageError: if the model cannot do what the config asks for.
    """
    card = _find_card(asked.model, say)
    if must_prepare(card, asked.engine):
        say.note(f"preparing model '{card.name}' for this machine, once: about twenty seconds")
    predictor = load_engine(card, config, asked.engine)
    say.detail(f"runs with {predictor.engine}")
    precision = predictor.engine.precision
    if not card.agrees_in(precision):
        say.warn(f"model '{card.name}' was not measured to find the same in {precision} as in fp32")
    return predictor


def local_runner(asked: RunnerConfig, config: DetectConfig, say: Messages) -> LocalRunner:
    """A runner in this process; errors as in `open_predictor`.

    Raises:
        UsageError: if the memory limit does not hold a single tile.
    """
    predictor = open_predictor(asked, config, say)
    batch = asked.batch or predictor.batch
    if asked.max_memory is None:
        return LocalRunner(predictor, batch)
    from lcageo.inference.memory import fit_to_memory

    runner = fit_to_memory(predictor, batch, asked.max_memory)
    say.detail(f"{runner.batch} tiles at a time, {runner.max_cache_bytes / 1e6:,.0f} MB of decoded blocks")
    return runner


@contextmanager
def open_runner(asked: RunnerConfig, config: DetectConfig, say: Messages) -> Generator[TileRunner, None, None]:
    """A runner in this process, or on the workers of a cluster; errors as in `local_runner` and `cluster_runner`."""
    if asked.cluster is None:
        yield local_runner(asked, config, say)
        return
    if asked.max_memory is not None:
        raise UsageError("--max-memory is for one process; with --cluster, use --batch and limit the workers' memory")
    from lcageo.inference.cluster import cluster_runner  # Dask takes a second to load

    card = _find_card(asked.model, say)
    with cluster_runner(asked.cluster, card, config, asked.engine, asked.batch) as runner:
        say.note(f"{runner.workers} worker(s) at {asked.cluster}, the first one with {runner.engine}")
        yield runner


def _find_card(model: str | None, say: Messages) -> ModelCard:
    card = find_card(model)
    if not card.is_trained:
        say.warn(f"model '{card.name}' is untrained: its boxes mean nothing")
    say.detail(f"model {card.name}; trained on: {card.trained_on or 'nothing'}")
    say.detail(f"licence of the weights: {card.licence}")
    say.restriction(card)
    return card
