"""A layer that is there, and what must be so for more objects to be appended to it."""

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
    """What is known of a layer, in a file or a database, before objects are appended to it."""

    name: str
    """The file or table, for messages."""
    crs: pyproj.CRS | None
    columns: tuple[str, ...]
    """All but the geometry."""
    class_ids: Mapping[str, int]
    """Number of each class that it has objects of."""
    features: int
    last_id: int
    """The greatest; 0 where there is none."""
    record: RunRecord
    """Of its first objects; those that were appended have theirs in its `appended`."""

    def has_run(self, run: str | None) -> bool:
        """Whether all that a run found is in it."""
        return run is not None and any(record.run == run and not record.filtered for record in self.record.all_runs)

    def has_scene(self, scene: str) -> bool:
        """Whether it has objects of a scene, by whatever run."""
        return any(record.scene == scene for record in self.record.all_runs)

    def check_crs(self, crs: pyproj.CRS | None) -> None:
        """Refuses objects that cannot be brought to the layer's CRS.

        Raises:
            UsageError: if only one of the two has a CRS, or there is no way from one to the other.
        """
        if (crs is None) != (self.crs is None):
            one, other = ("the layer", "the new objects") if crs is None else ("the new objects", "the layer")
            raise UsageError(
                f"{one} would have a CRS, {other} not, so '{self.name}' cannot be appended to; give another"
            )
        try:
            if crs is not None and crs != self.crs:
                pyproj.Transformer.from_crs(crs, self.crs)
        except pyproj.exceptions.ProjError as error:
            raise UsageError(
                f"'{self.name}' cannot be appended to: no way leads from {crs.name if crs else ''} to its CRS; "
                "give another output"
            ) from error

    def check_classes(self, class_ids: Mapping[str, int]) -> None:
        """Refuses classes that are numbered in another way, as those of another model may be.

        Raises:
            UsageError: naming the first.
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
                    f"'{self.name}' cannot be appended to: class_id of '{name}' would be {number}, but in it {has}; "
                    "give another output, or the model that it was made with"
                )

    def check_columns(self, columns: Sequence[str]) -> None:
        """Refuses objects with attributes that the layer has no place for.

        Raises:
            UsageError: naming them.
        """
        lacking = [name for name in columns if name not in self.columns]
        if lacking:
            raise UsageError(
                f"'{self.name}' cannot be appended to: it has no column {', '.join(lacking)}; give another"
            )

    def fitted(self, parts: Iterable[geopandas.GeoDataFrame]) -> Iterator[geopandas.GeoDataFrame]:
        """The same objects in the layer's CRS, with ids that go on from its last.

        Raises:
            UsageError: as the checks.
            OutputError: if one has no place in the layer's CRS.
        """
        next_id = self.last_id + 1
        for number, part in enumerate(parts):
            if number == 0:
                self.check_crs(part.crs)
                self.check_columns([name for name in part.columns if name != part.geometry.name])
            if {"class", "class_id"} <= set(part.columns):
                pairs = part[["class", "class_id"]].drop_duplicates().dropna()  # somebody drew an object
                self.check_classes(dict(zip(pairs["class"].tolist(), pairs["class_id"].tolist(), strict=True)))
            fits = part if self.crs is None else reprojected(part, self.crs)
            if "id" in self.columns:
                fits = fits.assign(id=np.arange(next_id, next_id + len(part), dtype=np.int64))
            next_id += len(part)
            yield fits

    def joined(self, record: RunRecord) -> RunRecord:
        """How the layer came about once objects with this record are in it."""
        return replace(self.record, appended=(*self.record.appended, record))
