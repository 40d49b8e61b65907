"""Running tiles on the workers of a Dask cluster, on this machine or on many.

The client plans, keeps the journal and writes; workers read tiles, run the model and merge. A unit of work is some
hundred neighbouring tiles, or all of a small scene, so that one large scene spreads over all workers, and so do many
small ones. Results go through the same journal as on one machine, so the final result is the same whatever fails.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.config import DetectConfig, Engine
from lcageo.errors import DeviceError, SceneError, UsageError
from lcageo.extras import require
from lcageo.inference.cluster_worker import (
    ModelWork,
    SceneWork,
    engine_of,
    ignore_interrupts,
    passed_on,
    run_unit,
    tapered,
    units,
)
from lcageo.inference.plan import ScenePlan
from lcageo.inference.runner import Common, Item, Outcomes, Result, Results, Warn
from lcageo.remote import public
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.predictor import gpu_count
from lcageo.runtime.selection import Selection

LOCAL = "local"
UNIT_BATCHES = 32
"""Maximum number of batches in a unit of work: some 30 s on a CPU, less than a second on a GPU."""
PER_WORKER = 3
"""Units of work submitted per worker, so that none idles while the next unit is being sent."""
ANSWER_S = 60
COUNT_AFTER_S = 5
"""The number of workers is cached for this long: each count is a request to the scheduler."""
MAPPED = 64
"""Maximum number of a scene's parts that are merged at a time: each is some hundred kilobytes at the client."""
SCENES_AT_ONCE = 32
"""Maximum number of scenes at a time: each has its own thread of the client for its plan, journal and files."""


class ClusterRunner:
    """A TileRunner that uses the workers of a cluster."""

    def __init__(self, client: Any, model: ModelWork, batch: int | None) -> None:
        """Waits for a worker and asks it for its engine.

        Args:
            client: a `distributed.Client`.
            model: the model that workers run.
            batch: tiles that each worker runs at a time; None: the default for its device.

        Raises:
            UsageError: if the config names a class that the model does not have.
            DeviceError: if there is no worker, or one cannot run the model.
            ModelError: if a worker does not have the model.
        """
        Selection.of(model.card, model.config)
        self.card = model.card
        self._client, self._model = client, model
        self._counted, self._workers = -math.inf, 1
        try:
            client.wait_for_workers(1, timeout=ANSWER_S)
        except TimeoutError as error:
            raise DeviceError(f"no worker is connected to '{client.scheduler.address}'; start some") from error
        first = min(client.scheduler_info(n_workers=-1)["workers"])  # the same one in every run, while it is connected
        with _translated_errors(model.card.name):
            engine, usual = client.submit(engine_of, model, pure=False, workers=[first]).result()
        self.engine: Engine = engine
        self.batch: int = batch or usual

    @property
    def workers(self) -> int:
        """Number of workers within the last seconds."""
        if time.monotonic() - self._counted > COUNT_AFTER_S:
            self._workers = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
            self._counted = time.monotonic()
        return self._workers

    @property
    def scenes_at_once(self) -> int:
        """Two scenes per worker, so that none waits while the client plans and writes."""
        return min(SCENES_AT_ONCE, 2 * self.workers)

    def prepare(self, side: int) -> None:
        """See `TileRunner.prepare`; workers load the model by themselves."""

    def run(self, plan: ScenePlan, todo: NDArray[np.int64], warn: Warn) -> Outcomes:
        """See `TileRunner.run`; yields an empty list for every second without results."""
        info, warned = plan.reader.scene.info, set[str]()
        in_strips = info.block_shape[1] >= info.width
        scene = SceneWork.of(plan)
        running: set[Any] = set()
        ended: SimpleQueue[Any] = SimpleQueue()
        with _translated_errors(info.path):
            pieces = units(plan.grid, todo, PER_WORKER * self.workers, UNIT_BATCHES * self.batch, in_strips)
            waiting = deque(tapered(pieces, self.workers, self.batch))
            work = self._client.submit(passed_on, scene, pure=False)
            try:
                while waiting or running:
                    while waiting and len(running) < PER_WORKER * self.workers:
                        unit = (self._model, self.batch, waiting.popleft())
                        future = self._client.submit(run_unit, work, *unit, pure=False)
                        future.add_done_callback(ended.put)
                        running.add(future)
                    some = _taken(ended)
                    parts = []
                    for outcomes, messages in self._client.gather(some):
                        for line in dict.fromkeys(messages):  # each worker, and each unit, repeats the same ones
                            if line not in warned:
                                warned.add(line)
                                warn(line)
                        unread = tuple(
                            (tile, reason.replace(public(scene.address), info.path)) for tile, reason in outcomes.unread
                        )
                        parts.append(replace(outcomes, unread=unread))
                    running.difference_update(some)
                    yield parts
            finally:
                with suppress(Exception):  # the cluster may be gone
                    self._client.cancel(list(running))

    def map(self, function: Callable[[Common, Item], Result], common: Common, items: Iterable[Item]) -> Results[Result]:
        """See `TileRunner.map`."""
        rest, running = iter(items), deque[Any]()
        with _translated_errors("the scene"):
            shared = self._client.submit(passed_on, common, pure=False)
            try:
                while True:
                    room = min(PER_WORKER * self.workers, MAPPED) - len(running)
                    for item in islice(rest, max(0, room)):
                        running.append(self._client.submit(function, shared, item, pure=False))
                    if not running:
                        return
                    yield running.popleft().result()
            finally:
                with suppress(Exception):  # the cluster may be gone
                    self._client.cancel(list(running))


def _taken(ended: SimpleQueue[Any]) -> list[Any]:
    """All that is in a queue, where units gather while earlier ones are recorded; empty after a second without any."""
    taken = []
    with suppress(Empty):
        taken.append(ended.get(timeout=1))
        while True:
            taken.append(ended.get_nowait())
    return taken


@contextmanager
def _translated_errors(path: str) -> Generator[None, None, None]:
    """Turns Dask's errors into those of `lcageo.errors`."""
    import distributed

    try:
        yield
    except distributed.KilledWorker as error:
        raise SceneError(
            f"workers died repeatedly on the same part of '{path}': they may be out of memory, or the file crashes "
            "GDAL; see the workers' logs"
        ) from error
    except (OSError, CancelledError, distributed.client.ClosedClientError) as error:
        raise DeviceError(f"lost connection to the cluster ({error}); run the same command again to resume") from error


@contextmanager
def cluster_runner(
    address: str, card: ModelCard, config: DetectConfig, asked: Engine, batch: int | None
) -> Generator[ClusterRunner, None, None]:
    """A runner on the cluster at an address, or on N worker processes that are started here.

    Args:
        address: of a Dask scheduler, as tcp://host:8786, or 'local:N'.
        card: the model.
        config: which boxes to return.
        asked: the engine on each worker; device 'auto': its own GPU if there is one.
        batch: tiles run at a time by each worker; None: the default for its device.

    Raises:
        UsageError: if the address is neither.
        DeviceError: if Dask is not installed, or no scheduler answers.
    """
    require("--cluster", "cluster", "distributed", error=DeviceError)
    import distributed

    with _cluster(address, distributed) as where:
        try:
            client = distributed.Client(where, timeout=ANSWER_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise DeviceError(f"no scheduler answers at '{address}' ({error}); start one: dask scheduler") from error
        with client:
            if address.startswith(f"{LOCAL}:"):
                client.wait_for_workers(int(address.partition(":")[2]), timeout=ANSWER_S)
                client.run(ignore_interrupts)
            yield ClusterRunner(client, ModelWork(card, config, asked), batch)


@contextmanager
def _cluster(address: str, distributed: Any) -> Generator[Any, None, None]:
    """The address of a scheduler, or a local cluster, whose workers share the cores and have a GPU each if possible."""
    import dask

    name, _, count = address.partition(":")
    if name != LOCAL:
        if "://" not in address and not count:
            raise UsageError(f"--cluster '{address}' is neither an address like tcp://host:8786 nor local:N")
        yield address
        return
    if not count.isdigit() or not 1 <= int(count) <= 1024:
        raise UsageError(f"--cluster '{address}' does not give the number of workers; use local:2, for instance")
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard_address": None, "host": "127.0.0.1", "port": 0}}
    # Set before a worker starts, since torch reads it at import. It replaces Dask's own settings: one thread, and
    # memory returned to the system at every free, which makes inference a third slower.
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // int(count)))}
    workers = {number: _worker(number, distributed) for number in range(int(count))}
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": environment}),
        distributed.SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL) as cluster,
    ):
        yield cluster


def _worker(number: int, distributed: Any) -> dict[str, Any]:
    gpus = gpu_count()
    environment = {"CUDA_VISIBLE_DEVICES": str(number % gpus)} if gpus else {}
    options = {
        "nthreads": 1, "env": environment, "dashboard": False, "host": "127.0.0.1", "silence_logs": logging.CRITICAL,
    }  # fmt: skip
    return {"cls": distributed.Nanny, "options": options}
