"""Splits the ground into train and val: in square blocks, so that neighbours do not leak between the two.

Chips of one object or one car park look alike. Assigned to train and val one by one, they would show in validation what
was memorised in training.

Source:
    Roberts et al., "Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic
    structure", Ecography 40 (2017): blocks in space, larger than what is alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from lcageo.geodesy import WGS84
from lcageo.scene.describe import SceneInfo
from lcageo.transform import Transform
from lcageo.vector.reproject import Move, mover

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
Block = tuple[int, int]


@dataclass(frozen=True, slots=True)
class BlockPlane:
    """The plane in which blocks are measured: the first scene's CRS, or an equal-area plane if that is geographic."""

    crs: pyproj.CRS
    unit_m: float
    """Metres on the ground per unit, at the first scene."""
    middle_x: float = 0.0
    """X of the first scene's centre: a plane that goes around the globe continues beyond the antimeridian there."""

    @classmethod
    def around(cls, info: SceneInfo, pixel_size_m: tuple[float, float], crs: pyproj.CRS) -> BlockPlane:
        """The plane of a scene, from the ground length of its pixels."""
        columns, rows = np.array([0.0, 1.0]) + info.width / 2, np.full(2, info.height / 2)
        xs, ys = info.georeference.to_map(columns, rows)
        if not crs.is_geographic:
            return cls(crs, pixel_size_m[0] / float(np.hypot(xs[1] - xs[0], ys[1] - ys[0])), float(xs[0]))
        (longitude, _), (latitude, _) = Transform(crs, pyproj.CRS(WGS84))(xs, ys)
        return cls(pyproj.CRS(f"+proj=laea +lon_0={longitude:.6f} +lat_0={latitude:.6f} +datum=WGS84 +units=m"), 1.0)

    def mover(self, crs: pyproj.CRS) -> Move:
        """A function that converts positions in a CRS to the plane."""
        return mover(crs, self.crs, self.middle_x)


@dataclass(frozen=True, slots=True)
class BlockSplit:
    """Which blocks belong to validation; all others belong to training."""

    plane: BlockPlane
    side_m: float
    """Side of a block, metres."""
    chosen: Mapping[Block, bool]
    """Column and row of each block with labels -> whether it belongs to validation."""
    share: float
    """Share of the other blocks that belong to validation."""
    seed: int

    def positions(self, xs: FloatArray, ys: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Fractional block columns and rows of positions on the plane, same shape."""
        units = self.side_m / self.plane.unit_m
        return xs / units, ys / units

    def validates(self, xs: FloatArray, ys: FloatArray) -> Mask:
        """Whether positions on the plane belong to validation, same shape."""
        columns, rows = (np.floor(axis).astype(np.int64) for axis in self.positions(xs, ys))
        blocks, which = np.unique(columns * (1 << 32) + rows, return_inverse=True)
        rows_of = (blocks + (1 << 31)) % (1 << 32) - (1 << 31)
        columns_of = (blocks - rows_of) >> 32
        answers = [self._block(block) for block in zip(columns_of.tolist(), rows_of.tolist(), strict=True)]
        return np.array(answers, np.bool_)[which].reshape(xs.shape)

    def _block(self, block: Block) -> bool:
        if block in self.chosen:
            return self.chosen[block]
        key = [self.seed, *(value % (1 << 32) for value in block)]  # a block's draw must not depend on the others
        return float(np.random.default_rng(key).random()) < self.share


def split_blocks(
    plane: BlockPlane, side_m: float, centres: FloatArray, labels: NDArray[np.int64], share: float, seed: int
) -> BlockSplit:
    """Decides which blocks belong to validation, so that each class has about `share` of its labels there.

    Args:
        plane: the plane of the blocks.
        side_m: side of a block, metres.
        centres: (N, 2) centres of the labels, on the plane.
        labels: (N,) their classes.
        share: share of the labels that belong to validation; 0: none.
        seed: seed of the random numbers.
    """
    empty = BlockSplit(plane, side_m, {}, share, seed)
    positions = np.floor(np.stack(empty.positions(*centres.T), axis=-1)).astype(np.int64)
    blocks, which = np.unique(positions, axis=0, return_inverse=True)
    counts = np.zeros((len(blocks), int(labels.max(initial=0)) + 1), np.int64)
    np.add.at(counts, (which.ravel(), labels), 1)
    order = np.random.default_rng(seed).permutation(len(blocks))
    validates = np.zeros(len(blocks), np.bool_)
    validates[order] = stratified(counts[order], share)
    chosen = {(int(x), int(y)): bool(val) for (x, y), val in zip(blocks, validates, strict=True)}
    return BlockSplit(plane, side_m, chosen, share, seed)


def stratified(counts: NDArray[np.int64], share: float) -> Mask:
    """Divides groups of labelled objects into two parts, with each class in both where possible.

    The class with the fewest groups left is handled first, its largest group before others; a group goes to the part
    that lacks the larger share of its target for that class, or to the first part if both lack the same share.

    Args:
        counts: (B, K) objects of each class in each group; of equal groups the first is handled first.
        share: share of the second part, 0 to 1.

    Returns:
        (B,) True for the groups of the second part.

    Source:
        Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011, algorithm 1; we
        compare relative needs, since groups differ in size, where they compare absolute ones.
    """
    second, left = np.zeros(len(counts), np.bool_), np.ones(len(counts), np.bool_)
    wanted = np.outer([1 - share, share], counts.sum(axis=0)).astype(np.float64)  # (2, K)
    lacking = wanted.copy()
    while left.any() and share > 0:
        groups = (counts[left] > 0).sum(axis=0)
        if not groups.any():
            break
        label = int(np.argmin(np.where(groups > 0, groups, len(counts) + 1)))
        own = np.flatnonzero(left & (counts[:, label] > 0))
        for group in own[np.argsort(-counts[own, label], kind="stable")].tolist():
            need = lacking[:, label] / wanted[:, label]
            part = int(need[1] > need[0])
            second[group] = bool(part)
            lacking[part] -= counts[group]
            left[group] = False
    return second
