"""Several processes that train one model together, as torchrun starts them; one alone is the usual case."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lcageo.errors import UsageError

_PATIENCE = timedelta(hours=2)
"""How long the others wait while the first process validates or saves."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Position of this process among those of a run."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """Rank among the processes of this machine: the GPU to use."""

    @classmethod
    def of_environment(cls) -> Processes:
        """Position set by torchrun in RANK, WORLD_SIZE and LOCAL_RANK."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        return cls(*(int(os.environ.get(name, default)) for name, default in zip(names, ("0", "1", "0"), strict=True)))

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Joins the process group; does nothing for a single process."""
        if self.world > 1:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)

    def leave(self) -> None:
        """Leaves the process group."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with gradients averaged over all processes."""
        if self.world == 1:
            return network
        return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)

    def agreed(self, values: list[float], device: torch.device) -> list[float]:
        """The first process's values, for all."""
        if self.world == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(shared, 0)
        return [float(value) for value in shared.tolist()]

    def share(self, batch: int, parts: int) -> int:
        """Number of crops that this process computes at a time, if a batch is computed in `parts`.

        Raises:
            UsageError: if the batch cannot be shared evenly.
        """
        if batch % (self.world * parts):
            raise UsageError(
                f"--batch {batch} cannot be shared evenly by {self.world} processes in {parts} parts (--accumulate); "
                f"give a multiple of {self.world * parts}"
            )
        return batch // self.world // parts


def synchronised(network: nn.Module) -> nn.Module:
    """The network with batch norms that share their statistics over all GPUs, except for the frozen ones.

    torch's own conversion would convert these too, and unfreeze them.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d) and module.weight.requires_grad:
            parent, _, own = name.rpartition(".")
            shared = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
            setattr(network.get_submodule(parent), own, shared)
    return network
