"""All state that changes while a model is trained, so that it can be saved and resumed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lcageo.config import Precision
from lcageo.detector.network import Network
from lcageo.network_config import Preset
from lcageo.training.config import TrainConfig, recipe_entries
from lcageo.training.optimizer import Ema, build_optimizers
from lcageo.training.precision import fastest_precision
from lcageo.training.processes import Processes, synchronised


@dataclass(slots=True)
class TrainState:
    """State of a run at any step."""

    config: TrainConfig
    processes: Processes
    device: torch.device
    network: Network
    model: nn.Module
    """The network as it is called: wrapped to average its gradients over processes."""
    optimizers: list[torch.optim.Optimizer]
    scaler: torch.amp.GradScaler
    ema: Ema
    precision: Precision
    """Never AUTO."""
    preset: Preset
    mean: Tensor
    """(3, 1, 1), of red, green, blue; subtracted from the images, which are then divided by `std`."""
    std: Tensor
    steps_per_epoch: int
    data: Mapping[str, Any]
    """Identity of its training data."""
    step: int = 0
    """Steps done."""
    best: float = -1.0
    """Best mAP50:95 so far; below 0 before the first validation."""
    owes_validation: bool = False
    """Whether it was stopped at a validation step, before validating."""
    seconds: float = 0.0
    """Seconds of the starts before this one."""
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls,
        config: TrainConfig,
        processes: Processes,
        device: torch.device,
        network: Network,
        preset: Preset,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        steps_per_epoch: int,
        data: Mapping[str, Any],
        saved: Mapping[str, Any] | None,
    ) -> TrainState:
        """A state with everything on its device, at step 0 or at the step of `saved`."""
        if processes.world > 1 and device.type == "cuda":
            synchronised(network)
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            network.compile()
        precision = _precision(config, processes, device, network, saved)
        state = cls(
            config=config,
            processes=processes,
            device=device,
            network=network,
            model=processes.wrapped(network, device),
            optimizers=build_optimizers(network, config),
            scaler=torch.amp.GradScaler(device.type, enabled=precision is Precision.FP16),
            ema=Ema(network, config.ema),
            precision=precision,
            preset=preset,
            mean=torch.tensor(mean, device=device)[:, None, None],
            std=torch.tensor(std, device=device)[:, None, None],
            steps_per_epoch=steps_per_epoch,
            data=data,
        )
        if saved:
            state._load(saved)
        return state

    @property
    def elapsed(self) -> float:
        """Seconds of all starts, validation included."""
        return self.seconds + time.monotonic() - self.started

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self.step // self.steps_per_epoch

    def progress(self) -> float:
        """Share of the run that is done, 0 to 1; by time or by steps."""
        if self.config.minutes is not None:
            return min(1.0, self.elapsed / (60 * self.config.minutes))
        return min(1.0, self.step / (self.config.epochs * self.steps_per_epoch))

    def saved(self) -> dict[str, Any]:
        """Everything needed to resume, in plain tensors, numbers and strings."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.weights,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "precision": str(self.precision),
            "data": dict(self.data),
            "settings": recipe_entries(self.config),
            "step": self.step,
            "owes_validation": self.owes_validation,
            "best": self.best,
            "seconds": self.elapsed,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def _load(self, saved: Mapping[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        self.ema.load(saved["ema"])
        for optimizer, kept in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        if saved["scaler"]:  # empty except for float16, which may have been chosen since
            self.scaler.load_state_dict(saved["scaler"])
        self.step, self.best, self.seconds = saved["step"], saved["best"], saved["seconds"]
        self.owes_validation = saved["owes_validation"]
        torch.set_rng_state(saved["rng"])
        if self.device.type == "cuda" and saved["cuda_rng"]:
            torch.cuda.set_rng_state_all(saved["cuda_rng"])


def _precision(
    config: TrainConfig,
    processes: Processes,
    device: torch.device,
    network: Network,
    saved: Mapping[str, Any] | None,
) -> Precision:
    """As configured, as the run started, or as the first process measures."""
    if config.precision is not Precision.AUTO:
        return config.precision
    if saved is not None:
        return Precision(saved["precision"])
    share = processes.share(config.batch, config.accumulate)
    images = torch.zeros(share, 3, config.crop_size, config.crop_size, device=device)
    every = list(Precision)
    chosen = fastest_precision(network, images.to(memory_format=torch.channels_last))
    return every[int(processes.agreed([every.index(chosen)], device)[0])]
