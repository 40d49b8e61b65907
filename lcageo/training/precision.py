"""Which precision to compute in, measured instead of guessed: some CPUs have fast bfloat16, others emulate it."""

from __future__ import annotations

import copy
import time
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from lcageo.config import Precision
from lcageo.detector.network import Network

_TYPES = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
_RUNS = 2
_CPU_TRIAL_PX = 128
"""Side of the single image measured on a CPU: without bfloat16 units, a batch would take minutes."""
_MIN_GAIN = 1.1
"""Minimum speed-up of bfloat16, as it is also less precise."""


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Context in which convolutions and products are computed in `precision`."""
    if precision not in _TYPES:
        return nullcontext()
    return torch.autocast(device.type, _TYPES[precision])


def fastest_precision(network: Network, images: Tensor) -> Precision:
    """Float32 or bfloat16, whichever takes this network through forward and backward faster on the images' device.

    Args:
        network: not changed; a copy is run.
        images: (B, 3, S, S) floating, a batch as in training. On a CPU, a part of the first image is run.
    """
    if images.device.type == "cpu":
        images = images[:1, :, :_CPU_TRIAL_PX, :_CPU_TRIAL_PX].contiguous(memory_format=torch.channels_last)
    if images.device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision.FP32
    trial = copy.deepcopy(network)
    seconds = {precision: _seconds(trial, images, precision) for precision in (Precision.FP32, Precision.BF16)}
    return Precision.BF16 if seconds[Precision.FP32] > _MIN_GAIN * seconds[Precision.BF16] else Precision.FP32


def _seconds(network: Network, images: Tensor, precision: Precision) -> float:
    """Seconds of the fastest of some runs, after one that prepares kernels."""
    taken = []
    for _ in range(1 + _RUNS):
        started = time.perf_counter()
        with computing_in(precision, images.device):
            outputs = network(images)
        torch.autograd.backward([output.class_logits.mean() + output.regression.mean() for output in outputs])
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        taken.append(time.perf_counter() - started)
        network.zero_grad()
    return min(taken[1:])
