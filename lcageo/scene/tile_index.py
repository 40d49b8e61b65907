"""The files that a tile index (GDAL's GTI) shows: it is a vector layer with a path and an outline for each of them.

GDAL gives zeros for those that it cannot open, without any error, and tells nothing about them beforehand.
"""

from __future__ import annotations

import os
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
_LOCATION_FIELD = "location"


@dataclass(frozen=True, slots=True)
class TileIndex:
    """Where the layer of a tile index is, and what in it names files."""

    folder: str
    """Where relative names start: that of the dataset that GDAL opens, or, empty, the working folder."""
    layer_path: str
    layer: str | None
    field: str
    where: str | None
    """Condition for the features that count, in SQL."""
    is_placed: bool
    """Whether the outlines are in the CRS of the dataset."""

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
            return cls(folder, layer_path, None, _LOCATION_FIELD, None, True)
        definition = ElementTree.fromstring(Path(layer_path).read_text(encoding="utf-8"))
        return cls(
            folder,
            definition.findtext("IndexDataset", ""),  # relative to the working folder, unlike the names in it
            definition.findtext("IndexLayer"),
            definition.findtext("LocationField", _LOCATION_FIELD),
            definition.findtext("Filter"),
            definition.find("SRS") is None,
        )

    def read(self) -> tuple[list[str], NDArray[np.float64]]:
        """The paths of its files, and (N, 4) left, bottom, right, top of their outlines on the map.

        Raises:
            SceneError: if the layer cannot be read, or lacks the field.
        """
        import pyogrio  # takes a while, and few scenes are tile indexes

        try:
            with plain_path(Path(self.layer_path)) as path:
                options = {"layer": self.layer, "where": self.where}
                meta, _, _, fields = pyogrio.raw.read(path, read_geometry=False, columns=[self._field(path)], **options)
                _, bounds = pyogrio.read_bounds(path, **options)
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
            raise SceneError(
                f"the files that tile index '{self.layer_path}' shows cannot be checked ({error}); check it with "
                "ogrinfo, or make a mosaic of them with gdalbuildvrt"
            ) from error
        if not len(meta["fields"]):
            raise SceneError(
                f"the files that tile index '{self.layer_path}' shows cannot be checked: it has no field "
                f"'{self.field}'; make a mosaic of them with gdalbuildvrt"
            )
        return [beside(self.folder, name) for name in fields[0].tolist()], np.asarray(bounds.T, np.float64)

    def _field(self, path: str) -> str:
        """Name of the field of paths, which the layer itself may tell."""
        import pyogrio

        said = pyogrio.read_info(path, layer=self.layer)["layer_metadata"] or {}
        return str(said.get("LOCATION_FIELD", self.field))


def beside(folder: str, name: str) -> str:
    """The path of a file that a tile index names, as GDAL finds it: in a folder if it is there, else as it is."""
    if name.startswith(("https://", "http://")):
        return f"/vsicurl/{name}"
    near = os.path.join(folder, name)  # noqa: PTH118  # pathlib would change /vsicurl/https://
    return near if os.path.exists(near) or not Path(name).exists() else name  # noqa: PTH110  # for any name
