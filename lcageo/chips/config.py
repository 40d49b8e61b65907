"""Settings of `lcageo chips`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lcageo.config import SCENE_SIDE_PX, EdgeNodata, overlap_pixels
from lcageo.errors import ConfigError
from lcageo.layer_source import shown


@dataclass(frozen=True, slots=True)
class ChipConfig:
    """Settings that decide which chips are cut from scenes and their labels."""

    class_field: str | None = None
    """Attribute that holds the labels' classes; None: `class`, `label`, `name` or `category`."""
    class_name: str | None = None
    """Class of all labels, if no attribute holds it."""
    point_size_m: float | None = None
    """Side of the box drawn around a point label, metres on the ground."""
    size: int = 640
    """Side of a chip, pixels: about the default model's tile. Training at this size does not rescale chips."""
    overlap: str = "25%"
    """Pixels ('200') or per cent of the chip ('25%') shared by neighbouring chips."""
    gsd_m: float | None = None
    """Metres per pixel to resample to; None: each scene's own."""
    min_visible: float = 0.4
    """Objects with less than this share of their box in a chip are ignored there."""
    negatives: float = 0.2
    """Maximum share of chips without objects, in train and val each."""
    val: float = 0.2
    """Share of the labels used for validation, block by block; 0: none."""
    block_m: float | None = None
    """Side of the blocks that are assigned to train or val, metres. None: four chips, less if the labels are dense."""
    bands: tuple[int, ...] = ()
    """As in DetectConfig; so are stretch, edge_nodata, crs and aoi."""
    stretch: str = "auto"
    edge_nodata: EdgeNodata = EdgeNodata.AUTO
    crs: str | None = None
    aoi: Path | None = None
    """Polygons of the completely labelled area; chips show nothing else. None: the scenes are labelled completely."""
    review: Path | None = None
    """Review layer of `detect` whose verdicts correct the labels, which are the objects of the same run."""
    seed: int = 0

    def parameters(self) -> dict[str, Any]:
        """All settings by name, ready for JSON."""
        return {name: shown(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    def __post_init__(self) -> None:
        if self.class_field is not None and self.class_name is not None:
            raise ConfigError("class-field and class cannot be combined; give one")
        if self.review is not None and (self.class_field is not None or self.class_name is not None):
            raise ConfigError("review takes the objects of detect as labels, with their classes; leave out the class")
        if not 32 <= self.size <= SCENE_SIDE_PX:
            raise ConfigError(f"size {self.size} is outside 32 to {SCENE_SIDE_PX:,} pixels")
        overlap_pixels(self.overlap, self.size, "the chip")
        lengths = {"point-size": self.point_size_m, "gsd": self.gsd_m, "block": self.block_m}
        for name, metres in lengths.items():
            if metres is not None and not 0 < metres < float("inf"):
                raise ConfigError(f"{name} {metres} is not a positive number of metres")
        if not 0 < self.min_visible <= 1:
            raise ConfigError(f"min-visible {self.min_visible} is not above 0 and at most 1")
        for name, share in {"negatives": self.negatives, "val": self.val}.items():
            if not 0 <= share < 1:
                raise ConfigError(f"{name} {share} is not a share from 0 to below 1")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed} is below 0")
