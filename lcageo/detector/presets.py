"""The systems of the paper's Table I: which parts each is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lcageo.detector.backbone import StrideIn, build_backbone
from lcageo.detector.heads import BaselineHead, FcosHead, Head, RetinaHead
from lcageo.detector.lca_head import LcaHead
from lcageo.detector.neck import FeaturePyramid, P6From
from lcageo.detector.network import Network
from lcageo.network_config import NetworkConfig, Norm, Preset


@dataclass(frozen=True, slots=True)
class Recipe:
    """The parts of one system that NetworkConfig does not set."""

    head: Callable[[int, int, int], Head]
    """Called with channels, number of classes and number of convolutions."""
    head_convs: int
    """3x3 convolutions, per branch where the head has two."""
    p6_from: P6From
    stride_in: StrideIn
    """Where the backbone's bottlenecks halve the resolution, if its family leaves the choice."""
    norm: Norm
    """Normalisation of the backbone."""


_FUSED = partial(BaselineHead, fused=True)
_PLAIN = partial(BaselineHead, fused=False)

# LCA-DET.md, section 1, says how each row follows from the paper's Params and FLOPs.
RECIPES: dict[Preset, Recipe] = {
    Preset.RETINANET: Recipe(RetinaHead, 4, P6From.C5, StrideIn.MIDDLE_3X3, Norm.BN),
    Preset.FCOS: Recipe(FcosHead, 4, P6From.P5, StrideIn.FIRST_1X1, Norm.FROZEN_BN),
    Preset.LCA_BASELINE: Recipe(_FUSED, 3, P6From.P5, StrideIn.MIDDLE_3X3, Norm.BN),
    Preset.LCA_BASELINE_4X4: Recipe(_PLAIN, 4, P6From.P5, StrideIn.MIDDLE_3X3, Norm.BN),
    Preset.LCA_H: Recipe(LcaHead, 6, P6From.P5, StrideIn.MIDDLE_3X3, Norm.BN),
    Preset.LCA_SA: Recipe(_FUSED, 3, P6From.P5, StrideIn.MIDDLE_3X3, Norm.BN),
    Preset.LCA: Recipe(LcaHead, 6, P6From.P5, StrideIn.MIDDLE_3X3, Norm.BN),
}
"""Presets with equal rows differ in training: `lca-h` and `lca`, `lca-baseline` and `lca-sa`."""


def build_network(config: NetworkConfig) -> Network:
    """The network that a configuration describes, with initial values as for training from scratch."""
    recipe = RECIPES[config.preset]
    backbone = build_backbone(config.backbone, config.backbone_width, config.norm or recipe.norm, recipe.stride_in)
    neck = FeaturePyramid(backbone.out_channels, config.channels, recipe.p6_from)
    head = recipe.head(config.channels, config.num_classes, config.head_convs or recipe.head_convs)
    return Network(backbone, neck, head)
