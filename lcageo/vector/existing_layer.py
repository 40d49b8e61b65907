"""An existing layer, and the checks before objects are appended to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import geopandas
import numpy as np
import pyproj

from lcageo.errors import UsageError
from lcageo.vector.record import RunRecord
from lcageo.vector.reproject import reprojected


@dataclass(frozen=True, slots=True)
class ExistingLayer:
    """The contents of a layer, in a file or a database, before objects are appended to it."""

    name: str
    """Name of the file or table, for messages."""
    crs: pyproj.CRS | None
    columns: tuple[str, ...]
    """Names of all columns except the geometry."""
    class_ids: Mapping[str, int]
    """`class_id` of each class in the layer, by name."""
    features: int
    """Number of features."""
    last_id: int
    """The largest id; 0 if there is none."""
    record: RunRecord
    """Record of the run that wrote the layer; those of appended objects are in its `appended`."""

    def has_run(self, run: str | None) -> bool:
        """Whether the layer holds everything that a run found."""
        return run is not None and any(record.run == run and not record.filtered for record in self.record.all_runs)

    def has_scene(self, scene: str) -> bool:
        """Whether the layer holds objects of a scene, from any run."""
        return any(record.scene == scene for record in self.record.all_runs)

    def check_crs(self, crs: pyproj.CRS | None) -> None:
        """Checks that objects can be transformed to the layer's CRS.

        Raises:
            UsageError: if only one of the two has a CRS, or there is no transformation between them.
        """
        if (crs is None) != (self.crs is None):
            only = "the layer has" if crs is None else "the new objects have"
            raise UsageError(f"cannot append to '{self.name}': only {only} a CRS; choose another output")
        try:
            if crs is not None and crs != self.crs:
                pyproj.Transformer.from_crs(crs, self.crs)
        except pyproj.exceptions.ProjError as error:
            raise UsageError(
                f"cannot append to '{self.name}': no transformation from {crs.name if crs else ''} to the layer's CRS; "
                "choose another output"
            ) from error

    def check_classes(self, class_ids: Mapping[str, int]) -> None:
        """Checks that classes have the same numbers as in the layer; those of another model may differ.

        Raises:
            UsageError: if they differ; it names the first such class.
        """
        names = {number: name for name, number in self.class_ids.items()}
        for name, number in class_ids.items():
            if self.class_ids.get(name, number) != number or names.get(number, name) != name:
                has = (
                    f"'{name}' is {self.class_ids[name]}"
                    if name in self.class_ids
                    else f"{number} is '{names[number]}'"
                )
                raise UsageError(
                    f"cannot append to '{self.name}': class_id of '{name}' would be {number}, but in the layer {has}; "
                    "choose another output, or use the model that the layer was made with"
                )

    def check_columns(self, columns: Sequence[str]) -> None:
        """Checks that the layer has a column for each attribute of the objects.

        Raises:
            UsageError: if columns are missing; it names them.
        """
        lacking = [name for name in columns if name not in self.columns]
        if lacking:
            raise UsageError(
                f"cannot append to '{self.name}': it has no column {', '.join(lacking)}; choose another output"
            )

    def fitted(self, parts: Iterable[geopandas.GeoDataFrame]) -> Iterator[geopandas.GeoDataFrame]:
        """The same objects in the layer's CRS, with ids that continue from its last one.

        Raises:
            UsageError: if one of the checks fails.
            OutputError: if an object cannot be transformed to the layer's CRS.
        """
        next_id = self.last_id + 1
        for number, part in enumerate(parts):
            if number == 0:
                self.check_crs(part.crs)
                self.check_columns([name for name in part.columns if name != part.geometry.name])
            if {"class", "class_id"} <= set(part.columns):
                pairs = part[["class", "class_id"]].drop_duplicates().dropna()  # objects drawn by hand may lack them
                self.check_classes(dict(zip(pairs["class"].tolist(), pairs["class_id"].tolist(), strict=True)))
            fits = part if self.crs is None else reprojected(part, self.crs)
            if "id" in self.columns:
                fits = fits.assign(id=np.arange(next_id, next_id + len(part), dtype=np.int64))
            next_id += len(part)
            yield fits

    def joined(self, record: RunRecord) -> RunRecord:
        """The layer's record once objects with this record have been appended."""
        return replace(self.record, appended=(*self.record.appended, record))
