"""One mapping of a scene's values to uint8, the same for every tile, so that tiles agree along their seams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcageo.config import EdgeNodata
from lcageo.errors import UsageError
from lcageo.scene.edges import EdgeMask, find_edge, may_have_edge, with_data, without_specks
from lcageo.scene.raster import Scene
from lcageo.scene.sample import SceneSample, read_reduced, sample_scene

LOW_PERCENTILE, HIGH_PERCENTILE = 2.0, 98.0
FAR_SHARE = 0.005, 0.6
"""Least and greatest share of the pixels with one value that may be a hole: fewer are noise, more may be the ground."""
FAR_RANGES = 3.0
"""How far such a value is from those of the ground at least, in ranges of these: saturated roofs are nearer."""
SLAB = 256
"""Rows of a picture that are stretched at a time."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Values from `low` to `high` (a pair per band) become 0 to 255, linearly; values beyond are clipped.

    Where the least value is white, `low` is the greater one.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    is_blind: bool = field(default=False, compare=False)
    """Whether it was to be estimated, and no pixel with data was met."""
    left_out: tuple[float, ...] = field(default=(), compare=False)
    """Values that it was estimated without, since they are far from all others."""

    @property
    def is_identity(self) -> bool:
        """Whether uint8 values pass unchanged."""
        return self == IDENTITY

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """uint8 of the same shape (3, h, w); NaN becomes 0."""
        if self.is_identity and pixels.dtype == np.uint8:
            return pixels
        low, high = (np.array(end, np.float64)[:, None, None] for end in (self.low, self.high))
        # Clipped before it is scaled: nodata such as -1.8e308 would overflow.
        share = (np.clip(pixels.astype(np.float64), np.minimum(low, high), np.maximum(low, high)) - low) / (high - low)
        return np.asarray(np.nan_to_num(share) * 255 + 0.5).astype(np.uint8)  # + 0.5 rounds

    def inverted(self) -> Stretch:
        """The stretch that makes dark what this one makes bright."""
        return replace(self, low=self.high, high=self.low)


IDENTITY = Stretch((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))


def parse_stretch(text: str) -> Stretch | None:
    """`auto` -> None (to be estimated), `none` -> identity, `MIN,MAX` -> that range for all bands.

    Raises:
        UsageError: for anything else.
    """
    if text == "auto":
        return None
    if text == "none":
        return IDENTITY
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise UsageError(f"--stretch '{text}' is not a range; give auto, none or MIN,MAX with MIN below MAX")
    return Stretch((low,) * 3, (high,) * 3)


def choose_stretch(
    scene: Scene, stretch: str = "auto", edge_nodata: EdgeNodata = EdgeNodata.AUTO
) -> tuple[Stretch, EdgeMask | None]:
    """The stretch of a scene, and its untagged edge; the scene is sampled if one of them depends on that.

    Raises:
        UsageError: if the stretch is not valid.
        SceneError: if the scene cannot be sampled.
    """
    info, chosen, edge = scene.info, parse_stretch(stretch), None
    if chosen is None and info.dtype == "uint8":
        chosen = Stretch((0.0,) * 3, (float(2**info.bits - 1),) * 3)
    look = edge_nodata is EdgeNodata.AUTO and may_have_edge(scene)
    if chosen is None or look:
        sample = sample_scene(scene)
        edge = find_edge(sample, info) if look else None
        chosen = chosen or estimate_stretch(sample, edge, scene.nodata)
    return (chosen.inverted() if info.min_is_white and stretch != "none" else chosen), edge


def estimate_stretch(sample: SceneSample, edge: EdgeMask | None, nodata: Sequence[float] = (math.nan,) * 3) -> Stretch:
    """Per band, the 2nd to the 98th percentile of the sample's pixels with data; uint8 is left unchanged.

    Args:
        sample: of the scene.
        edge: its untagged edge.
        nodata: value of each band that is no data in it, though another band may have some there; NaN: none.
    """
    if sample.pixels.dtype == np.uint8:
        return IDENTITY
    inside = with_data(sample, edge)
    if edge is not None and (inside & ~edge.all_cells[..., None]).any():
        inside &= ~edge.all_cells[..., None]  # along the edge, a reduced view mixes its value with those of the ground
    if edge is not None and (ground := inside & ~edge.has_value(sample.pixels)).any():
        inside = ground  # without its value in holes, too
    if not inside.any():
        return replace(IDENTITY, is_blind=True)
    ranges, left_out = [], dict[float, None]()
    for band, none in zip(sample.pixels, nodata, strict=True):
        values = band[inside].astype(np.float64)
        values = values[np.isfinite(values) & (values != none)]
        far = _far_values(values)
        left_out |= dict.fromkeys(far)
        values = values[~np.isin(values, far)]
        low, high = np.percentile(values, [LOW_PERCENTILE, HIGH_PERCENTILE]) if len(values) else (0.0, 255.0)
        ranges.append((float(low), float(high if high > low else low + 1.0)))  # a constant band would divide by zero
    low, high = zip(*ranges, strict=True)
    return Stretch(low, high, left_out=tuple(left_out))


def _far_values(values: NDArray[np.float64]) -> list[float]:
    """The least and the greatest value, if many pixels have it and it is far from what all others are.

    So are holes that no tag marks: -9999 among shares of 1, or 65535 among values up to 3,000.
    """
    ends = dict.fromkeys((values.min(), values.max())) if len(values) else ()
    many = [value for value in ends if FAR_SHARE[0] <= np.mean(values == value) <= FAR_SHARE[1]]
    ground = values[~np.isin(values, many)]
    if not many or not len(ground):
        return []
    low, high = np.percentile(ground, [LOW_PERCENTILE, HIGH_PERCENTILE])
    return [float(value) for value in many if max(low - value, value - high) > FAR_RANGES * (high - low)]


def stretch_note(scene: Scene, stretch: Stretch) -> list[str]:
    """A line for the user where no pixel with data was met, or some values were left out."""
    info = scene.info
    if stretch.left_out:
        values = " and ".join(f"{value:.10g}" for value in stretch.left_out)
        return [
            f"many pixels of scene '{info.path}' have the value {values}, far from all others, which are stretched "
            "without it; if it means that there is no data, tag it (gdal_edit -a_nodata)"
        ]
    if not stretch.is_blind:
        return []
    return [
        f"no pixel with data was met when scene '{info.path}' was sampled, so its values from 0 to 255 are used as "
        "they are; give the range of its values with --stretch MIN,MAX"
    ]


def reduced_image(scene: Scene, stretch: Stretch, longest_side: int) -> NDArray[np.uint8]:
    """(3, h, w) uint8: the whole scene, at most `longest_side` pixels long; pixels without data are black.

    Pixels that are not square on the ground become squares.
    """
    pixels, valid = read_reduced(scene, longest_side, scene.info.pixel_shape)
    if scene.info.nodata_is_a_colour:
        valid = ~without_specks(~valid)
    image: NDArray[np.uint8] = np.zeros_like(pixels, np.uint8)
    for top in range(0, len(valid), SLAB):  # stretching takes eight bytes for each value, several times over
        rows = slice(top, top + SLAB)
        np.copyto(image[:, rows], stretch.apply(pixels[:, rows]), where=valid[rows])
    return image
