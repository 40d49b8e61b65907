"""The formats that results can have, and the files that belong to each. Loads nothing that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lcageo.errors import UsageError

GEOJSON_DIGITS = 8
"""Decimals of a degree: 1.1 mm. RFC 7946 suggests fewer, but at 0.02 m per pixel they would move corners."""


@dataclass(frozen=True, slots=True)
class VectorFormat:
    """How one file format is written."""

    driver: str
    options: Mapping[str, str]
    metadata_inside: bool
    """Whether provenance fits into the file; else it goes beside it."""
    style_inside: bool = False
    """Whether QGIS takes a style from the file itself; else it goes beside it."""


FORMATS: Mapping[str, VectorFormat] = {
    ".geojson": VectorFormat("GeoJSON", {"RFC7946": "YES", "COORDINATE_PRECISION": str(GEOJSON_DIGITS)}, True),
    ".gpkg": VectorFormat("GPKG", {}, True, style_inside=True),
    ".shp": VectorFormat("ESRI Shapefile", {"ENCODING": "UTF-8"}, False),
    ".fgb": VectorFormat("FlatGeobuf", {}, True),
    ".parquet": VectorFormat("Parquet", {}, True),
    ".csv": VectorFormat("CSV", {"GEOMETRY": "AS_WKT"}, False),
}
"""By the file's suffix."""
COMPANION_SUFFIXES = (".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx")
"""What a shapefile consists of besides .shp, with what other programs put beside it."""
RESERVED_TABLES = ("gpkg", "sqlite_", "layer_styles")
"""How no table of objects in a GeoPackage may begin: GDAL refuses the first two, QGIS keeps styles in the third."""
STYLE_SUFFIX = ".qml"
STYLE_MARK = "Made by lcageo with the layer, and anew with each; a style that you save with QGIS is left alone."
"""Tells our styles from those that somebody may have worked on."""


COCO, YOLO = ".coco.json", ".yolo.txt"
LABEL_SUFFIXES = (COCO, YOLO)
"""Boxes in pixels of the scene, for labelling tools: no map layers."""


def is_label_file(path: Path) -> bool:
    """Whether a path's suffix asks for boxes in pixels."""
    return path.name.lower().endswith(LABEL_SUFFIXES)


def format_of(path: Path) -> VectorFormat:
    """The vector format that a path's suffix asks for.

    Raises:
        UsageError: if there is none.
    """
    if is_label_file(path):
        raise UsageError(f"output '{path}' would hold boxes in pixels, but a map layer is needed: {', '.join(FORMATS)}")
    if path.suffix not in FORMATS:
        raise UsageError(f"output '{path}' has no known suffix; give one of {', '.join((*FORMATS, *LABEL_SUFFIXES))}")
    return FORMATS[path.suffix]


def files_of(path: Path) -> tuple[Path, ...]:
    """Every file that a layer, or boxes in pixels, may consist of, the one that names it first; no style is among them.

    Raises:
        UsageError: if the path has no known suffix.
    """
    if is_label_file(path):
        return (path, names_file(path), sidecar(path)) if path.name.lower().endswith(YOLO) else (path,)
    form = format_of(path)
    companions = COMPANION_SUFFIXES if form.driver == "ESRI Shapefile" else ()
    return (
        path,
        *(path.with_suffix(suffix) for suffix in companions),
        *(() if form.metadata_inside else (sidecar(path),)),
    )


def layer_name(path: Path) -> str:
    """What a layer is called inside its file: its stem, after a "_" where a GeoPackage's table may not begin so."""
    begins = path.stem.lower()
    allowed = (begins[0].isalnum() or begins[0] == "_") and not begins.startswith(RESERVED_TABLES)
    return path.stem if allowed or not format_of(path).style_inside else f"_{path.stem}"


def sidecar(path: Path) -> Path:
    """Where provenance goes for formats that cannot hold it."""
    return path.with_name(path.name + ".json")


def names_file(path: Path) -> Path:
    """Where the class names of a YOLO file go, as Darknet has them: found.yolo.names beside found.yolo.txt."""
    return path.with_suffix(".names")


def style_beside(path: Path) -> Path | None:
    """Where QGIS looks for a layer's style: one for all layers of that stem. None: inside the layer's file."""
    return None if format_of(path).style_inside else path.with_suffix(STYLE_SUFFIX)


def is_saved_style(path: Path) -> bool:
    """Whether a file is a style that is not ours: what somebody saved must not be lost."""
    if path.suffix != STYLE_SUFFIX or not path.is_file():
        return False
    with path.open("rb") as file:
        return STYLE_MARK.encode() not in file.read(1000)
