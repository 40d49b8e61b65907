"""The formats that results can have. A new one is an entry in FORMATS. Loads nothing that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GEOJSON_DIGITS = 8
"""Decimals of a degree: 1.1 mm. RFC 7946 suggests fewer, but at 0.02 m per pixel they would move corners."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorFormat:
    """A file format of map layers; each is one object in FORMATS."""

    driver: str
    """GDAL's name."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Layer creation options of the driver."""
    record_inside: bool = False
    """Whether the record of the run fits into the file; otherwise it is written beside it."""
    style_inside: bool = False
    """Whether QGIS takes a style from the file itself; otherwise it is written beside it."""
    companions: tuple[str, ...] = ()
    """Suffixes of the files that a layer consists of besides the first, with what other programs put beside it."""
    longitude_latitude: bool = False
    """Whether coordinates are always written in WGS 84, in the order longitude, latitude."""
    text_only: bool = False
    """Whether attributes are read back as text, and the CRS only from the record."""
    appendable: bool = False
    """Whether objects can be appended to an existing file."""


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """A file format of boxes in pixels of the scene, for labelling tools: no map layer."""

    suffix: str
    companions: tuple[str, ...] = ()
    """Suffixes that replace the last part of the suffix, of the other files that belong to it."""


FORMATS: Mapping[str, VectorFormat] = {
    ".geojson": VectorFormat(
        "GeoJSON",
        {"RFC7946": "YES", "COORDINATE_PRECISION": str(GEOJSON_DIGITS)},
        record_inside=True,
        longitude_latitude=True,
    ),
    ".gpkg": VectorFormat("GPKG", record_inside=True, style_inside=True, appendable=True),
    ".shp": VectorFormat(
        "ESRI Shapefile",
        {"ENCODING": "UTF-8"},
        companions=(".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx"),
    ),
    ".fgb": VectorFormat("FlatGeobuf", record_inside=True),
    ".parquet": VectorFormat("Parquet", record_inside=True),
    ".csv": VectorFormat("CSV", {"GEOMETRY": "AS_WKT"}, text_only=True),
}
"""By the file's suffix."""
DEFAULT_SUFFIX = ".geojson"
"""Suffix of results that are named by a folder only."""
APPENDABLE = ", ".join(suffix for suffix, form in FORMATS.items() if form.appendable)
"""Suffixes of the formats that objects can be appended to, for messages."""
RESERVED_TABLES = ("gpkg", "sqlite_", "layer_styles")
"""How no table of objects in a GeoPackage may begin: GDAL refuses the first two, QGIS keeps styles in the third."""
STYLE_SUFFIX = ".qml"
STYLE_MARK = "Made by lcageo with the layer, and anew with each; a style that you save with QGIS is left alone."
"""Tells our styles from those that somebody may have worked on."""


COCO = LabelFormat(".coco.json")
YOLO = LabelFormat(".yolo.txt", (".names", ".txt.json"))
LABEL_FORMATS = (COCO, YOLO)
FORMATS_HELP = f"{' '.join(FORMATS)}; {' '.join(form.suffix for form in LABEL_FORMATS)} in pixels"
"""All formats in a line, for help texts."""


def format_of(path: Path) -> VectorFormat | LabelFormat | None:
    """The format that a path's suffix stands for, whatever its capitals; None: another one."""
    for form in LABEL_FORMATS:
        if path.name.lower().endswith(form.suffix):
            return form
    return FORMATS.get(path.suffix.lower())


def sidecar(path: Path) -> Path:
    """Where the record of the run goes for formats that cannot hold it."""
    return path.with_name(path.name + ".json")


def is_saved_style(path: Path) -> bool:
    """Whether a file is a style that is not ours: what somebody saved must not be lost."""
    if path.suffix != STYLE_SUFFIX or not path.is_file():
        return False
    with path.open("rb") as file:
        return STYLE_MARK.encode() not in file.read(1000)
