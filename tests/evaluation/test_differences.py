"""The differences between two layers as a layer."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import geopandas
import pyogrio
import pytest
import shapely
from support.compared_layers import UTM, square
from support.readers import debian_gdal, read_layer

from lcageo.evaluation.layers import evaluate_layer
from lcageo.vector.formats import FORMATS


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_differences_are_one_layer_in_every_format(pair: tuple[Path, Path], tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"all{suffix}"
    evaluate_layer(*pair, output=output)
    differences = read_layer(output)
    rows = [
        ["-" if row.get(name) in (None, "") else str(row[name]) for name in ("result", "class", "found_id", "truth_id")]
        for row in differences.rows
    ]
    assert rows == [
        ["true positive", "ship", "11", "1"],
        ["false positive", "ship", "12", "-"],
        ["true positive", "ship", "13", "2"],
        ["false positive", "dam", "14", "-"],
        ["miss", "ship", "-", "3"],
        ["miss", "dam", "-", "4"],
    ]
    numbers = [
        [float(row[name]) for name in ("score", "iou") if row.get(name) not in (None, "")] for row in differences.rows
    ]
    if suffix == ".parquet":  # keeps nan as nan
        numbers = [[number for number in own if not math.isnan(number)] for own in numbers]
    assert numbers == [[0.9, 1.0], [0.8], [0.7, pytest.approx(80 / 120, abs=1e-4)], [0.6], [], []]
    expected = geopandas.GeoSeries([square(0, 0), square(100, 0)], crs=UTM)
    expected = expected.to_crs(4326) if suffix == ".geojson" else expected
    for index, shape in ((0, expected[0]), (4, expected[1])):
        assert shapely.equals_exact(differences.geometry[index], shape, 1e-6, normalize=True)


def test_debians_gdal_reads_the_differences_with_their_record(pair: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "all.gpkg"
    evaluation = evaluate_layer(*pair, output=output)
    converted = debian_gdal("ogr2ogr", "-f", "GeoJSON", target=output)
    results = Counter(f["properties"]["result"] for f in json.loads(converted.read_text())["features"])
    assert results == {"true positive": 2, "false positive": 2, "miss": 2}
    record = json.loads(pyogrio.read_info(output)["layer_metadata"]["lcageo"])
    assert record["overall"] == evaluation.overall.as_json() and record["version"]
