"""Runs a model with PyTorch."""

from __future__ import annotations

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from lcageo.detections import Detections
from lcageo.detector.decode import select_candidates
from lcageo.detector.network import Network
from lcageo.detector.presets import build_network
from lcageo.errors import DeviceError, DeviceMemoryError, ModelError, UsageError
from lcageo.nms import nms
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.selection import Selection


class TorchPredictor:
    """A Predictor on a torch device, in float32."""

    def __init__(self, card: ModelCard, network: Network, selection: Selection, device: torch.device) -> None:
        self.card = card
        self._device = device
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._selection = selection
        self._mean = torch.tensor(card.mean, device=device)[:, None, None]
        self._std = torch.tensor(card.std, device=device)[:, None, None]

    @classmethod
    def load(cls, card: ModelCard, selection: Selection, device: str) -> TorchPredictor:
        """Builds the network of a card and loads its checked weights.

        Raises:
            ModelError: if the weights are missing, altered, or do not fit the network.
            DeviceError: if the device is not there.
        """
        target = torch_device(device)
        weights = _checked_weights(card)
        network = build_network(card.network)
        network.load_state_dict(weights)
        try:
            return cls(card, network, selection, target)
        except RuntimeError as error:
            if _is_out_of_memory(error):
                raise DeviceMemoryError(f"{target} has no memory for model '{card.name}'; use --device cpu") from error
            raise

    @property
    def device(self) -> str:
        """The torch device's name."""
        return str(self._device)

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        """See Predictor.predict."""
        try:
            with torch.inference_mode():
                pixels = torch.from_numpy(images).to(self._device).to(memory_format=torch.channels_last)
                predictions = self._network.predict((pixels.float() - self._mean) / self._std)
                floor = float(self._selection.thresholds.min())
                candidates = select_candidates(predictions, floor)
                arrays = [tuple(part.cpu().numpy() for part in image) for image in candidates]
        except (RuntimeError, MemoryError) as error:
            if _is_out_of_memory(error):
                raise DeviceMemoryError(
                    f"{self._device} has no memory for a batch of {len(images)} tiles of {self.card.tile_size} pixels"
                ) from error
            raise
        return [self._selected(boxes, scores, labels) for boxes, scores, labels in arrays]

    def _selected(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> Detections:
        passing = scores > self._selection.thresholds[labels]
        found = Detections(boxes[passing], scores[passing], labels[passing])
        return found.selected(nms(found, self._selection.iou)[: self._selection.max_per_tile])


def torch_device(name: str, index: int = 0) -> torch.device:
    """The device that a user's word means.

    Args:
        name: 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
        index: which GPU 'auto' takes, where there is one.

    Raises:
        UsageError: if the word is unknown.
        DeviceError: if the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", index)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device '{name}' is not known; give auto, cpu, cuda, cuda:N or mps") from None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise DeviceError(f"device '{name}' was asked for, and there is none here; use --device cpu or auto")
    return device


def gpu_count() -> int:
    """CUDA devices of this machine."""
    return torch.cuda.device_count()


def _checked_weights(card: ModelCard) -> dict[str, torch.Tensor]:
    """The weights, which fit the card's network; checked before the network takes memory, which may be gigabytes."""
    content = card.read_weights()
    try:
        weights = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError) as error:  # the latter: a type that torch does not have
        raise ModelError(f"{card.weights} is not a safetensors file ({error}); nothing of it was run") from error
    with torch.device("meta"):
        wanted = build_network(card.network).state_dict()
    missing, unexpected = sorted(set(wanted) - set(weights)), sorted(set(weights) - set(wanted))
    if missing or unexpected:
        raise ModelError(
            f"{card.weights} does not fit the network of model '{card.name}': "
            f"{len(missing)} tensors missing {missing[:3]}, {len(unexpected)} not known {unexpected[:3]}"
        )
    wrong = [name for name in wanted if wanted[name].shape != weights[name].shape]
    if wrong:
        name = wrong[0]
        raise ModelError(
            f"{card.weights} does not fit the network of model '{card.name}': {name} has shape "
            f"{tuple(weights[name].shape)}, not {tuple(wanted[name].shape)}"
        )
    return weights


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU, on MPS, and when CUDA reports late, it is a plain RuntimeError: the text is the only mark.
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator" in str(error) or "out of memory" in str(error)
