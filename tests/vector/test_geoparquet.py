"""GeoParquet of other programs, compared with what geopandas reads of it."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pandas as pd
import pytest
import shapely

from lcageo.errors import DataError
from lcageo.vector.geoparquet import SUFFIXES
from lcageo.vector.polygons import read_polygons
from lcageo.vector.read import open_layer

SQUARE = shapely.box(0, 0, 4, 4)
SHAPES = {
    "polygons": [SQUARE, shapely.difference(SQUARE, shapely.box(1, 1, 2, 2)), None],
    "multipolygons": [shapely.MultiPolygon([SQUARE, shapely.box(9, 9, 10, 10)]), shapely.MultiPolygon([SQUARE])],
    "points": [shapely.Point(1, 2), shapely.Point(3, 4)],
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("kind", SHAPES)
def test_both_encodings_are_read_under_all_suffixes(tmp_path: Path, kind: str, encoding: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frame = geopandas.GeoDataFrame({"class": ["a"] * len(SHAPES[kind])}, geometry=SHAPES[kind], crs="EPSG:32633")
    frame.rename_geometry("shape").to_parquet(path, geometry_encoding=encoding, schema_version="1.1.0")
    layer = open_layer(path, "")
    assert layer.columns == ("class",) and layer.crs == "EPSG:32633"
    for count in (1, 50):
        read = pd.concat(list(layer.parts(count)))
        assert read["class"].tolist() == frame["class"].tolist()
        assert shapely.to_wkt(read.geometry.to_numpy()).tolist() == shapely.to_wkt(frame.geometry.to_numpy()).tolist()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_parquet_is_refused_with_a_remedy(tmp_path: Path, suffix: str) -> None:
    pd.DataFrame({"class": ["a"], "geometry": [SQUARE.wkb]}).to_parquet(tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match=r"--labels '.*' is plain Parquet, .* 'geo'\); save the layer as GeoParquet"):
        read_polygons(tmp_path / f"a{suffix}", "--labels")


def test_a_filter_of_geoparquet_is_refused_not_dropped(tmp_path: Path) -> None:
    geopandas.GeoDataFrame({"class": ["a"]}, geometry=[SQUARE]).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="is read without a filter; save the selection"):
        open_layer(Path(f"{tmp_path / 'a.parquet'}|subset=\"class\" = 'a'"), "--labels")
