"""One of several processes that compute the gradients of the losses together, for test_criterion_distributed.py.

    python ddp_worker.py RANK WORLD_SIZE FOLDER

FOLDER holds the rendezvous file and the gradients that rank 0 writes.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lcageo.detector.criterion import compute_losses
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.detector.truth import Truth
from lcageo.network_config import NetworkConfig, Norm, Preset

CLASSES = 3
SHARES = {"objects on rank 0 only": ((0, 1, 2), (3,)), "objects on both": ((0,), (1, 2)), "no objects": ((1,), (3,))}
"""Batches, as the images of each rank."""
OBJECTS: tuple[list[tuple[int, list[float]]], ...] = (
    [(0, [4, 6, 40, 30]), (2, [30, 20, 62, 60])],
    [],
    [(1, [33, 33, 35, 35]), (1, [0, 0, 64, 64])],
    [],
)


def network_of(preset: Preset) -> Network:
    torch.manual_seed(0)
    config = NetworkConfig(preset, CLASSES, "resnet18", backbone_width=16, channels=8, head_convs=2, norm=Norm.GN)
    return build_network(config).double()


def batch(indices: tuple[int, ...]) -> tuple[torch.Tensor, list[Truth]]:
    images = torch.randn(len(OBJECTS), 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    truths = []
    for i in indices:
        boxes = torch.tensor([box for _, box in OBJECTS[i]], dtype=torch.float64).reshape(-1, 4)
        labels = torch.tensor([label for label, _ in OBJECTS[i]], dtype=torch.int64)
        truths.append(Truth(boxes, labels, torch.ones(CLASSES, dtype=torch.bool)))
    return images[list(indices)], truths


def gradients(preset: Preset, indices: tuple[int, ...]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Gradients by parameter and the total loss, averaged over the processes."""
    network = network_of(preset)
    model = DistributedDataParallel(network) if dist.is_initialized() else network
    images, truths = batch(indices)
    outputs = model(images)
    total = compute_losses(preset, outputs, network.decode(outputs), truths).total
    total.backward()
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}, total.detach()


def main(rank: int, world_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the only interface of machines without a name or network
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=world_size)
    found = {}
    for preset in Preset:
        for name, shares in SHARES.items():
            by_name, total = gradients(preset, shares[rank])
            dist.all_reduce(total)
            found[f"{preset}, {name}"] = by_name | {"total": total / world_size}
    if rank == 0:
        torch.save(found, folder / "gradients.pt")
    dist.barrier()  # gloo aborts a process whose peer exits first
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
