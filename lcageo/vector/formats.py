"""The formats of results. A new one is an entry in FORMATS. Imports nothing that reads or writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from pathlib import Path

GEOJSON_DIGITS = 8
"""Decimals of a degree: 1.1 mm. RFC 7946 suggests fewer, but at 0.02 m per pixel that would move corners."""
GDAL_FID = "OGC_FID"
"""Column of a stream that GDAL takes for the numbers of the features, in exactly these letters."""
POSITIONS = ("longitude", "latitude")
"""Columns that formats with `positions` have."""


class RecordPlace(Enum):
    """Where a format keeps the record of the run."""

    BESIDE = auto()
    """In a second file, see `sidecar`."""
    FOREIGN_MEMBER = auto()
    """In the member `lcageo` of a GeoJSON file."""
    LAYER_METADATA = auto()
    """In the item `lcageo` of the layer's metadata in GDAL."""
    DESCRIPTION = auto()
    """In the layer's description, by GDAL's creation option of that name."""
    KEY_VALUE_METADATA = auto()
    """In the key `lcageo` of a Parquet file's metadata."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorFormat:
    """A file format of map layers; each is an entry in FORMATS."""

    driver: str
    """Name of GDAL's driver."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Layer creation options of the driver."""
    record: RecordPlace = RecordPlace.BESIDE
    """Where the record of the run is."""
    style_inside: bool = False
    """Whether QGIS reads a style from the file itself; otherwise it is written beside it."""
    companions: tuple[str, ...] = ()
    """Suffixes of the other files that a layer consists of."""
    added: tuple[str, ...] = ()
    """Suffixes of files that other programs add to a layer, such as indexes: they go with it."""
    appended: tuple[str, ...] = (".aux.xml",)
    """Likewise, of files whose names are that of the main file and this."""
    longitude_latitude: bool = False
    """Whether coordinates are always written in WGS 84, in the order longitude, latitude."""
    text_only: bool = False
    """Whether attributes are read back as text, and the CRS is only known from the record."""
    positions: bool = False
    """Whether longitude and latitude of each feature's centre are columns, for programs that read no geometry."""
    appendable: bool = False
    """Whether objects can be appended to an existing file."""
    file_options: Mapping[str, str] = field(default_factory=dict)
    """Dataset creation options of the driver, where they differ from those of a layer."""
    reserved: tuple[str, ...] = ()
    """Names, in small letters, that no attribute may have: the format has such columns of its own."""

    def renamed(self, attributes: Sequence[str]) -> dict[str, str]:
        """New names of the attributes whose own GDAL does not write, numbered as QGIS does it: fid_1 for fid.

        Those are reserved names, and names that differ from an earlier one in case only.
        """
        if self.driver == "Parquet":
            return {}
        names: dict[str, str] = {}
        taken, all_names = set(self.reserved), {name.lower() for name in attributes}
        for name in attributes:
            new = name
            numbers = count(1)
            while new.lower() in taken or new == GDAL_FID or (new != name and new.lower() in all_names):
                new = f"{name}_{next(numbers)}"
            taken.add(new.lower())
            if new != name:
                names[name] = new
        return names


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """A file format of boxes in scene pixels, for labelling tools; not a map layer."""

    suffix: str
    companions: tuple[str, ...] = ()
    """Suffixes of the other files that belong to it; each replaces the last part of the suffix."""


FORMATS: Mapping[str, VectorFormat] = {
    ".geojson": VectorFormat(
        "GeoJSON",
        {"RFC7946": "YES", "COORDINATE_PRECISION": str(GEOJSON_DIGITS)},
        RecordPlace.FOREIGN_MEMBER,
        longitude_latitude=True,
    ),
    ".gpkg": VectorFormat(
        "GPKG",
        # GDAL 3.12 writes version 1.4 by default, and GDAL 3.6 warns whenever it opens such a file (as does QGIS with
        # it). Layers need nothing of what versions 1.3 and 1.4 added.
        file_options={"VERSION": "1.2"},
        record=RecordPlace.LAYER_METADATA,
        style_inside=True,
        appended=("-wal", "-shm", "-journal", ".aux.xml"),  # SQLite takes the first three for a part of any new file
        appendable=True,
        reserved=("fid", "geom"),
    ),
    ".shp": VectorFormat(
        "ESRI Shapefile",
        {"ENCODING": "UTF-8"},
        companions=(".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx"),
        added=(".fbn", ".fbx", ".ain", ".aih", ".atx", ".ixs", ".mxs", ".idm", ".ind"),  # indexes of GDAL and ArcGIS
        appended=(".xml", ".aux.xml"),
    ),
    ".fgb": VectorFormat("FlatGeobuf", record=RecordPlace.DESCRIPTION),
    ".parquet": VectorFormat("Parquet", record=RecordPlace.KEY_VALUE_METADATA),
    ".csv": VectorFormat(
        "CSV",
        {"GEOMETRY": "AS_WKT"},
        added=(".csvt",),
        text_only=True,
        positions=True,
        reserved=("wkt", *POSITIONS),
    ),
}
"""All formats of map layers, by suffix."""
DEFAULT_SUFFIX = ".geojson"
"""Suffix of results when only a folder is given."""
APPENDABLE = ", ".join(suffix for suffix, form in FORMATS.items() if form.appendable)
"""Suffixes of the formats that objects can be appended to, for messages."""
RESERVED_TABLES = ("gpkg", "sqlite_", "layer_styles")
"""Prefixes that a table in a GeoPackage must not have: GDAL refuses the first two, QGIS keeps styles in the third."""
SHARED = (".qmd", ".prj")
"""Suffixes of files that describe whichever layer has their stem: QGIS's metadata, and a CRS, as of a CSV file."""
STYLE_SUFFIX = ".qml"
STYLE_MARK = "Made by lcageo with the layer, and anew with each; a style that you save with QGIS is left alone."
"""Marks our styles, so that those that a user saved are recognised."""


COCO = LabelFormat(".coco.json")
YOLO = LabelFormat(".yolo.txt", (".names", ".txt.json"))
LABEL_FORMATS = (COCO, YOLO)
FORMATS_HELP = f"{' '.join(FORMATS)}; {' '.join(form.suffix for form in LABEL_FORMATS)} in pixels"
"""All formats on one line, for help texts."""


def format_of(path: Path) -> VectorFormat | LabelFormat | None:
    """The format of a path by its suffix, ignoring case; None if it is unknown."""
    for form in LABEL_FORMATS:
        if path.name.lower().endswith(form.suffix):
            return form
    return FORMATS.get(path.suffix.lower())


def sidecar(path: Path) -> Path:
    """Path of the record of the run, for formats that cannot hold it."""
    return path.with_name(path.name + ".json")


def is_saved_style(path: Path) -> bool:
    """Whether a file is a style that a user saved, which must not be overwritten."""
    if path.suffix != STYLE_SUFFIX or not path.is_file():
        return False
    with path.open("rb") as file:
        return STYLE_MARK.encode() not in file.read(1000)
