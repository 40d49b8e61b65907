"""Whether a layer probably labels only some of the objects that stand side by side on the chips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from lcageo.chips.labels import Labels
from lcageo.chips.scene import PlacedScene

FEW_LABELS = 8
"""Labels of a class below which their spacing says nothing."""
CLUSTERED = 0.6
"""Clark and Evans' index below which labels are in a part of the ground: 1 is spread by chance, 0 in one place."""


def clustering(centres: NDArray[np.float64], area: float) -> float:
    """Mean distance to the nearest neighbour, relative to that of as many points spread over an area by chance.

    Args:
        centres: (N, 2) positions, at least two.
        area: in the square of their unit.

    Source:
        Clark and Evans, "Distance to nearest neighbor as a measure of spatial relationships in populations", Ecology
        35 (1954), without correction for the border.
    """
    points: NDArray[Any] = np.asarray(shapely.points(centres))
    nearest = shapely.STRtree(points).query_nearest(points, exclusive=True, return_distance=True, all_matches=False)[1]
    return float(nearest.mean() / (0.5 * np.sqrt(area / len(centres))))


def side_by_side(placed: Sequence[PlacedScene], labels: Labels) -> Iterator[str]:
    """A warning per scene and class whose labels crowd in a part of the ground that its chips show.

    Everything else on these chips is trained as background. Where the user has named the area that is labelled
    completely, nothing else is shown, so nothing is said.
    """
    for scene in placed:
        if scene.aoi is not None or not len(scene.index):
            continue
        tiles = scene.grid.bounds()[scene.with_labels()]
        area = float(shapely.area(shapely.union_all(shapely.box(*tiles.T))))
        centres = (scene.boxes_xyxy[:, :2] + scene.boxes_xyxy[:, 2:]) / 2
        for label, name in enumerate(labels.classes):
            own = centres[labels.labels[scene.index] == label]
            if len(own) >= FEW_LABELS and clustering(own, area) < CLUSTERED:
                yield (
                    f"the {len(own):,} labels of {name} on scene '{scene.info.path}' crowd in a part of the ground "
                    f"that its chips show; whatever is not labelled is trained as background. If there is more {name} "
                    "beside them, draw the area that you labelled completely as a polygon and give it with --aoi"
                )
