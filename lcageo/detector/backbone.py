"""What every backbone family provides, and how a registered name becomes a backbone.

A new family is a module with a subclass of `Backbone`, and an entry in `lcageo.network_config.BACKBONES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from typing import Self

from torch import Tensor, nn

from lcageo.detector.layers import FrozenBatchNorm2d
from lcageo.errors import ConfigError, ModelError
from lcageo.network_config import BACKBONES, Norm

_NAMES_SHOWN = 6


class StrideIn(StrEnum):
    """The convolution of a bottleneck that halves the resolution, where a family leaves the choice."""

    FIRST_1X1 = "first 1x1"
    """As in He et al. and in Caffe's weights."""
    MIDDLE_3X3 = "3x3"
    """As in torchvision and its weights."""


class Backbone(nn.Module, ABC):
    """Images to the maps C3, C4 and C5 at strides 8, 16 and 32.

    Every convolution directly precedes its normalisation among a module's children, so that `fold_batch_norm` finds
    the pairs.
    """

    out_channels: tuple[int, int, int]
    """Channels of C3, C4 and C5."""

    def __init__(self) -> None:
        super().__init__()
        self._frozen_parts = 0
        self._statistics_fixed = False

    @property
    @abstractmethod
    def parts(self) -> tuple[Sequence[nn.Module], ...]:
        """The modules of the stem, then those of each stage, in the order in which they are frozen."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) normalised images to C3, C4, C5 of sizes H / 8, H / 16, H / 32, rounded up."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor]) -> Sequence[str]:
        """Fills the backbone from a checkpoint of its family; nothing is changed if anything does not fit.

        Implementations map the checkpoint's names to their own, call `fill`, and decide with `fix_statistics`
        whether the checkpoint's batch norm statistics stay as they are.

        Args:
            tensors: the checkpoint's, by name.

        Returns:
            Warnings about what loads but fits only in part, each a sentence without a full stop.

        Raises:
            ModelError: if names or shapes differ.
        """

    @property
    def needs_checkpoint(self) -> bool:
        """Whether it cannot be trained from scratch: fixed batch norms would keep their initial statistics."""
        return any(isinstance(module, FrozenBatchNorm2d) for module in self.modules())

    def fill(self, tensors: Mapping[str, Tensor]) -> None:
        """Loads tensors under the backbone's own names, either all of them or none.

        Raises:
            ModelError: if names or shapes differ.
        """
        expected = self.state_dict()
        missing = sorted(name for name in expected.keys() - tensors.keys() if not _is_counter(name))
        unexpected = sorted(name for name in tensors.keys() - expected.keys() if not _is_counter(name))
        if missing or unexpected:
            raise ModelError(
                f"missing {_listing(missing)}; unexpected {_listing(unexpected)}; "
                "choose a checkpoint of the same backbone (one with --norm gn cannot take batch norm weights)"
            )
        for name, tensor in tensors.items():
            if name in expected and tensor.shape != expected[name].shape:
                raise ModelError(
                    f"{name} is {tuple(tensor.shape)} in the file and {tuple(expected[name].shape)} in the network; "
                    "choose the backbone and backbone_width of the file"
                )
        self.load_state_dict(dict(tensors), strict=False)

    def freeze(self, stages: int) -> None:
        """Fixes the stem and the first `stages` stages: no gradient, and stored statistics also while training.

        Raises:
            ConfigError: if the backbone has fewer stages.
        """
        if not 0 <= stages < len(self.parts):
            raise ConfigError(f"freeze = {stages} must be 0 to {len(self.parts) - 1}, the stages of the backbone")
        self._frozen_parts = stages + 1
        for module in self._frozen():
            module.requires_grad_(False)
        self.train(self.training)

    def fix_statistics(self) -> None:
        """Keeps the stored statistics of batch norms also while training; their weights still learn."""
        self._statistics_fixed = True
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switches everything except frozen parts and fixed batch norms, which stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen():
            module.eval()
        if self._statistics_fixed:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                    module.eval()
        return self

    def _frozen(self) -> Iterator[nn.Module]:
        for part in self.parts[: self._frozen_parts]:
            yield from part


def build_backbone(name: str, width: int, norm: Norm, stride_in: StrideIn) -> Backbone:
    """A registered backbone with initial values as for training from scratch.

    Args:
        name: one of `lcageo.network_config.BACKBONES`.
        width: `backbone_width`, which families without that option ignore.
        norm: normalisation after every convolution; each family has at least `bn` and `frozen_bn`.
        stride_in: which families without bottlenecks of ResNet's kind ignore.
    """
    module, _, builder = BACKBONES[name].home.partition(":")
    backbone: Backbone = getattr(import_module(module), builder)(name, width, norm, stride_in)
    return backbone


def _is_counter(name: str) -> bool:
    """Whether it is batch norm's step counter, which older checkpoints lack and nothing here uses."""
    return name.endswith("num_batches_tracked")


def _listing(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    if not names:
        return "nothing"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
