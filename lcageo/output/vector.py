"""Map features -> a vector file in any format."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import shapely

from lcageo.errors import OutputError, UsageError
from lcageo.output.features import to_wgs84

GEOJSON_DIGITS = 8
"""Decimals of a degree: 1.1 mm. RFC 7946 suggests fewer, but at 0.02 m per pixel they would move corners."""
GDAL_ERRORS = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError)


@dataclass(frozen=True, slots=True)
class VectorFormat:
    """How one file format is written."""

    driver: str
    options: Mapping[str, str]
    metadata_inside: bool
    """Whether provenance fits into the file; else it goes beside it."""


FORMATS: Mapping[str, VectorFormat] = {
    ".geojson": VectorFormat("GeoJSON", {"RFC7946": "YES", "COORDINATE_PRECISION": str(GEOJSON_DIGITS)}, True),
    ".gpkg": VectorFormat("GPKG", {}, True),
    ".shp": VectorFormat("ESRI Shapefile", {"ENCODING": "UTF-8"}, False),
    ".fgb": VectorFormat("FlatGeobuf", {}, True),
    ".parquet": VectorFormat("Parquet", {}, True),
    ".csv": VectorFormat("CSV", {"GEOMETRY": "AS_WKT"}, False),
}
"""By the file's suffix."""
COMPANION_SUFFIXES = (".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx")
"""What a shapefile consists of besides .shp, with what other programs put beside it."""


def format_of(path: Path) -> VectorFormat:
    """The format that a path's suffix asks for.

    Raises:
        UsageError: if there is none.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"output '{path}' has no known suffix; give one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix]


def files_of(path: Path) -> tuple[Path, ...]:
    """Every file that a layer may consist of, the one that names it first."""
    form = format_of(path)
    companions = COMPANION_SUFFIXES if form.driver == "ESRI Shapefile" else ()
    return (
        path,
        *(path.with_suffix(suffix) for suffix in companions),
        *(() if form.metadata_inside else (sidecar(path),)),
    )


def write_layer(layer: geopandas.GeoDataFrame, provenance: Mapping[str, Any], path: Path) -> None:
    """Writes a layer and how it came about, in the format of the path's suffix; nothing may be there yet.

    GeoJSON is written in WGS84, every other format in the layer's own CRS.

    Raises:
        OutputError: if it cannot be written, for instance because the disk is full.
    """
    form = format_of(path)
    try:
        _write(layer, provenance, path, form)
        if not form.metadata_inside:
            sidecar(path).write_text(json.dumps(provenance, indent=1), encoding="utf-8")
        _check_complete(path, form, len(layer))
    except (OSError, *GDAL_ERRORS) as error:
        raise OutputError(f"output '{path.name}' cannot be written: {error}; is the disk full or read-only?") from error


def sidecar(path: Path) -> Path:
    """Where provenance goes for formats that cannot hold it."""
    return path.with_name(path.name + ".json")


def _write(layer: geopandas.GeoDataFrame, provenance: Mapping[str, Any], draft: Path, form: VectorFormat) -> None:
    record = json.dumps(provenance)
    options = dict(form.options)
    if form.driver == "Parquet":
        _write_parquet(layer, record, draft)
        return
    if form.driver == "GeoJSON":
        layer = to_wgs84(layer)
        if layer.crs is None:  # pixels: RFC 7946 knows only longitude and latitude
            options["RFC7946"] = "NO"
        # The driver puts these members beside "features"; RFC 7946, section 6.1, allows foreign members.
        options |= {"NATIVE_DATA": json.dumps({"type": "FeatureCollection", "lcageo": provenance})}
        options |= {"NATIVE_MEDIA_TYPE": "application/vnd.geo+json"}
    if form.driver == "FlatGeobuf":
        options |= {"TITLE": draft.stem, "DESCRIPTION": record}
    is_cut = shapely.get_type_id(layer.geometry.to_numpy()) != shapely.GeometryType.POLYGON
    with warnings.catch_warnings():
        # A scene without CRS gives a layer without CRS, and the user has been told.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_dataframe(
            layer,
            draft,
            layer=draft.stem,
            driver=form.driver,
            geometry_type="Unknown" if is_cut.any() else "Polygon",
            layer_metadata={"lcageo": record} if form.driver == "GPKG" else None,
            layer_options=options,
        )


def _write_parquet(layer: geopandas.GeoDataFrame, record: str, draft: Path) -> None:
    import pyarrow.parquet

    layer.to_parquet(draft)
    table = pyarrow.parquet.read_table(draft)
    metadata = {**(table.schema.metadata or {}), b"lcageo": record}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), draft)


def _check_complete(path: Path, form: VectorFormat, count: int) -> None:
    """GDAL reports some failed writes, of a full disk for instance, only on standard error."""
    if form.driver == "Parquet":
        import pyarrow.parquet

        found = pyarrow.parquet.read_metadata(path).num_rows
    else:
        found = pyogrio.read_info(path, force_feature_count=True)["features"]
    if found != count:
        raise OSError(f"{found} of {count} features arrived")
