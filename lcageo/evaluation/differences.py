"""True positives, false positives and misses of a layer of found objects, as one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import geopandas
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcageo.vector.polygons import PolygonLayer

_LIMIT = 2.0**63
"""What is not below it is no 64-bit integer, which GDAL's formats have."""


def differences(
    found: PolygonLayer,
    truth: PolygonLayer,
    names: Sequence[Sequence[str]],
    matched: NDArray[np.int64],
    iou: NDArray[np.float64],
    scores: NDArray[np.float64] | None,
) -> geopandas.GeoDataFrame:
    """All N found objects, then the missed ones, in the common CRS of both layers.

    Args:
        found: N objects.
        truth: M objects.
        names: classes of the found objects, and of the true ones.
        matched: (N,) index of the true object matched with each found one; -1: none.
        iou: (N,) IoU of the match; nan: none.
        scores: (N,), if the found objects have any.

    Returns:
        Their polygons with id, result ("true positive", "false positive", "miss"), class, score, iou, found_id and
        truth_id (the layers' own ids, or else their features' positions, from 1). Shapefiles allow no longer names.
    """
    missed = np.setdiff1d(np.arange(len(truth)), matched)
    nothing = np.full(len(missed), np.nan)
    results = np.where(matched >= 0, "true positive", "false positive").tolist()
    of_found = np.concatenate([np.arange(len(found)), np.full(len(missed), -1)])
    of_truth = np.concatenate([matched, missed])
    return geopandas.GeoDataFrame(
        {
            "id": np.arange(1, len(of_found) + 1),
            "result": pd.Series([*results, *["miss"] * len(missed)], dtype="str"),
            "class": pd.Series([*names[0], *(names[1][index] for index in missed.tolist())], dtype="str"),
            "score": np.concatenate([np.full(len(found), np.nan) if scores is None else scores, nothing]),
            "iou": np.round(np.concatenate([iou, nothing]), 4),
            "found_id": _ids(found).take(of_found, allow_fill=True),
            "truth_id": _ids(truth).take(of_truth, allow_fill=True),
        },
        geometry=np.concatenate([found.shapes, truth.shapes[missed]]),
        crs=truth.frame.crs,
    )


def _ids(layer: PolygonLayer) -> Any:
    """(N,) ids as a pandas array of integers or text, whose `take` gives a missing value for index -1."""
    column = layer.column(("id",))
    ids = layer.frame.index.to_series() + 1 if column is None else layer.frame[column]
    whole = pd.api.types.is_numeric_dtype(ids) and (ids.isna() | ((ids % 1 == 0) & (abs(ids) < _LIMIT))).all()
    return ids.astype("Int64" if whole else "str").array
