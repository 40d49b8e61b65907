"""Layers to be compared."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import pytest
import shapely

UTM = "EPSG:32633"


EAST, NORTH = 500_000.0, 5_000_000.0


def square(x: float, y: float, side: float = 10.0) -> shapely.Polygon:
    """A square in UTM, its corner x, y metres from a fixed point."""
    return shapely.box(EAST + x, NORTH + y, EAST + x + side, NORTH + y + side)


def layer(path: Path, geometry: list[shapely.Geometry], crs: str | None = UTM, **columns: list[Any]) -> Path:
    """A vector file of shapes in UTM, brought to `crs`; None: the same coordinates without one."""
    frame = geopandas.GeoDataFrame(columns, geometry=geometry, crs=UTM)
    frame = frame.set_crs(None, allow_override=True) if crs is None else frame.to_crs(crs)
    expected = pytest.warns(UserWarning, match="'crs' was not provided") if crs is None else nullcontext()
    with expected:
        pyogrio.write_dataframe(frame, path, geometry_type="Unknown")
    return path
