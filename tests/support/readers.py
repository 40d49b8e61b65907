"""Independent readers of vector files, from json and sqlite3 to Debian's GDAL."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import shapely


@dataclass(frozen=True)
class Layer:
    """Attributes and geometry of every feature."""

    rows: list[dict[str, Any]]
    geometry: list[Any]


def read_layer(path: Path) -> Layer:
    """Reads a vector file by its suffix; features in the order of their ids (FlatGeobuf sorts them spatially)."""
    layer = READERS[path.suffix](path)
    order = sorted(range(len(layer.rows)), key=lambda index: int(layer.rows[index]["id"]))
    return Layer([layer.rows[index] for index in order], [layer.geometry[index] for index in order])


def _geojson(path: Path) -> Layer:
    features = json.loads(path.read_text())["features"]
    return Layer([f["properties"] for f in features], [shapely.geometry.shape(f["geometry"]) for f in features])


def _gpkg(path: Path) -> Layer:
    with sqlite3.connect(path) as base:
        base.row_factory = sqlite3.Row
        (table, column) = base.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchone()
        rows = [dict(row) for row in base.execute(f'SELECT * FROM "{table}"')]
    base.close()
    return Layer(rows, [_gpkg_geometry(row.pop(column)) for row in rows])


def _gpkg_geometry(blob: bytes) -> Any:
    envelope_doubles = (0, 4, 6, 6, 8)[(blob[3] >> 1) & 7]  # GeoPackage 1.3, 2.1.3
    return shapely.from_wkb(blob[8 + 8 * envelope_doubles :])


def _csv(path: Path) -> Layer:
    csv.field_size_limit(10**7)
    with path.open(encoding="utf-8", newline="") as lines:
        rows: list[dict[str, Any]] = list(csv.DictReader(lines))
    return Layer(rows, [shapely.from_wkt(row.pop("WKT")) for row in rows])


def _parquet(path: Path) -> Layer:
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(path).to_pylist()
    return Layer(rows, [shapely.from_wkb(row.pop("geometry")) for row in rows])


def _shp(path: Path) -> Layer:
    import shapefile

    with shapefile.Reader(str(path), encoding="utf-8") as reader:
        records = [(record.record.as_dict(), shapely.geometry.shape(record.shape)) for record in reader.shapeRecords()]
    return Layer([row for row, _ in records], [geometry for _, geometry in records])


def _fgb(path: Path) -> Layer:
    return _geojson(debian_gdal("ogr2ogr", "-f", "GeoJSON", "-lco", "COORDINATE_PRECISION=12", target=path))


def debian_gdal(*command: str, target: Path) -> Path:
    """Converts with Debian's GDAL, another build than the one in the Python packages."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"SKIPPED FOR LACK OF A TOOL: {command[0]} is not installed (Debian package gdal-bin)")
    converted = target.with_name(target.name + ".converted")
    converted.unlink(missing_ok=True)
    # Keep the file's coordinates instead of transforming them to WGS84 as GeoJSON requires; choose the layer, since a
    # GeoPackage also has a table of styles.
    layer = [str(converted), str(target), target.stem]
    subprocess.run([*command, "-a_srs", "EPSG:4326", *layer], check=True, capture_output=True)
    return converted


def qgis_opens(uris: list[str], home: Path) -> dict[str, Any]:
    """The output of `qgis_probe.py` for layers; QGIS keeps its settings in `home`."""
    return run_in_qgis("qgis_probe.py", uris, home)


def qgis_reads_review(uris: list[str], home: Path) -> dict[str, Any]:
    """The output of `qgis_review_probe.py` for review layers."""
    return run_in_qgis("qgis_review_probe.py", uris, home)


def run_in_qgis(script: str, arguments: list[str], home: Path) -> dict[str, Any]:
    """The JSON that a script of this folder prints in Debian's own Python, which has QGIS's modules."""
    python = "/usr/bin/python3"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GDAL", "PROJ"))}
    environment = kept | {"QT_QPA_PLATFORM": "offscreen", "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, *arguments], env=environment, capture_output=True, text=True)

    if not Path(python).exists() or run("-c", "import qgis.core").returncode:
        pytest.skip("SKIPPED FOR LACK OF A TOOL: QGIS is not installed (Debian package python3-qgis)")
    done = run(str(Path(__file__).with_name(script)), *arguments)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


READERS = {
    ".geojson": _geojson,
    ".gpkg": _gpkg,
    ".csv": _csv,
    ".parquet": _parquet,
    ".shp": _shp,
    ".fgb": _fgb,
}
