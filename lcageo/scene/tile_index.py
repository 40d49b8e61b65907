"""The files that a tile index (GDAL's GTI) shows: it is a vector layer with a path and an outline for each of them.

GDAL gives zeros for those that it cannot open, without any error, and tells nothing about them beforehand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lcageo.errors import SceneError
from lcageo.plain_path import plain_path

SUFFIXES = (".gti", ".gti.gpkg", ".gti.fgb", ".gti.parquet")
"""Ends of the names that GDAL takes for tile indexes: a definition in XML, and layers."""
_PREFIX = "GTI:"
_TOLD = {"LOCATION_FIELD": "LocationField", "FILTER": "Filter", "SRS": "SRS"}
"""What an index tells: the name in its layer's metadata, and that of the element of a definition."""


@dataclass(frozen=True, slots=True)
class TileIndex:
    """Where the layer of a tile index is, and what in it names files."""

    folder: str
    """Where relative names start: that of the dataset that GDAL opens, or, empty, the working folder."""
    layer_path: str
    layer: str | None
    definition: Mapping[str, str] | None
    """What a definition in XML says: then GDAL does not read what the layer's own metadata say."""

    @classmethod
    def of(cls, path: str) -> TileIndex:
        """The index that GDAL opens under a path.

        Raises:
            OSError: if the definition cannot be read.
            ElementTree.ParseError: if it is no XML.
        """
        layer_path = path.removeprefix(_PREFIX)
        folder = os.path.dirname(path) if layer_path == path else ""  # noqa: PTH120  # see `beside`
        if not path.lower().endswith(SUFFIXES[0]):
            return cls(folder, layer_path, None, None)
        root = ElementTree.fromstring(Path(layer_path).read_text(encoding="utf-8"))
        told = {key: text for key, element in _TOLD.items() if (text := root.findtext(element)) is not None}
        # The dataset is relative to the working folder, unlike the names in it.
        return cls(folder, root.findtext("IndexDataset", ""), root.findtext("IndexLayer"), told)

    def read(self) -> tuple[list[str], NDArray[np.float64] | None]:
        """The paths of its files, and (N, 4) left, bottom, right, top of their outlines on the map.

        There are no outlines if they are in another CRS than the dataset.

        Raises:
            SceneError: if the layer cannot be read, or lacks the field.
        """
        import pyogrio  # takes a while, and few scenes are tile indexes

        try:
            with plain_path(Path(self.layer_path)) as path:
                info = pyogrio.read_info(path, layer=self.layer)
                told = (info["layer_metadata"] or {}) if self.definition is None else self.definition
                field = told.get("LOCATION_FIELD", "location")
                columns = [name for name in info["fields"] if name.lower() == field.lower()]  # as GDAL looks for it
                if not columns:
                    raise SceneError(
                        f"the files that tile index '{self.layer_path}' shows cannot be checked: it has no field "
                        f"'{field}'; make a mosaic of them with gdalbuildvrt"
                    )
                options = {"layer": self.layer, "where": told.get("FILTER")}
                _, _, _, fields = pyogrio.raw.read(path, read_geometry=False, columns=columns, **options)
                _, bounds = pyogrio.read_bounds(path, **options)
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
            raise SceneError(
                f"the files that tile index '{self.layer_path}' shows cannot be checked ({error}); check it with "
                "ogrinfo, or make a mosaic of them with gdalbuildvrt"
            ) from error
        names = [beside(self.folder, name) for name in fields[0].tolist()]
        return names, None if "SRS" in told else np.asarray(bounds.T, np.float64)


def beside(folder: str, name: str) -> str:
    """The path of a file that a tile index names, as GDAL finds it: in a folder if it is there, else as it is."""
    if name.startswith(("https://", "http://")):
        return f"/vsicurl/{name}"
    near = os.path.join(folder, name)  # noqa: PTH118  # pathlib would change /vsicurl/https://
    return near if os.path.exists(near) or not Path(name).exists() else name  # noqa: PTH110  # for any name
