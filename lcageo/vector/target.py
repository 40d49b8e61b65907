"""Where results go: a file with its companions, or a database table. Imports nothing that writes them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from lcageo.errors import UsageError
from lcageo.layer_source import LayerSource
from lcageo.paths import is_possible
from lcageo.vector.database_table import DatabaseTable, is_database, parse_table
from lcageo.vector.formats import (
    APPENDABLE,
    FORMATS,
    LABEL_FORMATS,
    RESERVED_TABLES,
    STYLE_SUFFIX,
    LabelFormat,
    RecordPlace,
    VectorFormat,
    format_of,
    is_saved_style,
    sidecar,
)
from lcageo.vector.publish import check_output, refuse_open, shared_companions


@dataclass(frozen=True, slots=True)
class FileTarget:
    """A file of results, its format and the files that belong to it."""

    path: Path
    format: VectorFormat | LabelFormat
    name: str
    """Name of the result: the stem of its final path, also while it is a draft."""

    @classmethod
    def of(cls, path: Path) -> FileTarget:
        """The target at a path; the suffix becomes lower case, which GDAL's drivers and companion files expect.

        A link is followed, as if its file had been named: to move a draft to its place would replace the link.

        Raises:
            UsageError: if no format has its suffix.
        """
        if path.is_symlink() and not (file := Path(os.path.realpath(path))).is_symlink():  # else it leads in a circle
            return cls.of(file)
        form = format_of(path)
        if form is None:
            known = ", ".join((*FORMATS, *(label.suffix for label in LABEL_FORMATS)))
            raise UsageError(f"output '{path}' has no known suffix; use one of {known}")
        return cls(path.with_suffix(path.suffix.lower()), form, path.stem)

    @classmethod
    def of_layer(cls, path: Path) -> FileTarget:
        """The target at a path, which must be a map layer.

        Raises:
            UsageError: if no format of map layers has its suffix.
        """
        target = cls.of(path)
        if isinstance(target.format, LabelFormat):
            raise UsageError(
                f"output '{path}' would hold boxes in pixels, but a map layer is required: {', '.join(FORMATS)}"
            )
        return target

    def __str__(self) -> str:
        return str(self.path)

    @property
    def vector_format(self) -> VectorFormat:
        """The format, of a target that is a map layer."""
        assert isinstance(self.format, VectorFormat), "not a map layer"
        return self.format

    @property
    def is_label_file(self) -> bool:
        """Whether it holds boxes in pixels instead of map features."""
        return isinstance(self.format, LabelFormat)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it may consist of, the main file first, without the style; see also `belonging`."""
        others = [self.path.with_suffix(suffix) for suffix in self.format.companions]
        if isinstance(self.format, VectorFormat) and self.format.record is RecordPlace.BESIDE:
            others.append(sidecar(self.path))
        return (self.path, *others)

    @property
    def belonging(self) -> tuple[Path, ...]:
        """Files that other programs may have added to it, and that belong to no other file."""
        if not isinstance(self.format, VectorFormat):
            return ()
        added = (self.path.with_suffix(suffix) for suffix in self.format.added)
        appended = (self.path.with_name(self.path.name + suffix) for suffix in self.format.appended)
        return tuple(filter(is_possible, (*added, *appended)))

    @property
    def style(self) -> Path | None:
        """Where QGIS looks for a style, shared by all layers of that stem; None if it is inside or there is none."""
        beside = isinstance(self.format, VectorFormat) and not self.format.style_inside
        return self.path.with_suffix(STYLE_SUFFIX) if beside else None

    @property
    def layer(self) -> str:
        """Name of the layer in the file: the result's, prefixed with "_" if a GeoPackage would not accept it."""
        start = self.name.lower()
        allowed = (start[0].isalnum() or start[0] == "_") and not start.startswith(RESERVED_TABLES)
        return self.name if allowed or not self.vector_format.style_inside else f"_{self.name}"

    def at(self, path: Path) -> FileTarget:
        """The same format at another path, for instance in the folder of a draft."""
        return replace(self, path=path)

    def check(self, overwrite: bool = False, append: bool = False, folder_is_made: bool = False) -> None:
        """Checks, before any work is done, that the target can be written.

        Args:
            overwrite: whether existing files may be replaced.
            append: whether objects are to be added to an existing file.
            folder_is_made: whether a missing folder will be created.

        Raises:
            UsageError: if it exists and must not be replaced, another program has it open, or its format cannot be
                appended to.
            OutputError: if its folder is missing or cannot be written to.
        """
        if append and not (isinstance(self.format, VectorFormat) and self.format.appendable):
            raise UsageError(f"--append adds to {APPENDABLE} files and PostGIS tables, not to '{self.path}'")
        check_output(self.path, (*self.files, *self.belonging), overwrite or append, folder_is_made)
        refuse_open(self.path)

    def remove(self) -> None:
        """Removes the result with all its files, if it exists; a style that a user saved is kept."""
        own = (*self.files, *self.belonging, *shared_companions(self.path, self.files))
        style = self.style
        for file in (*own, *([style] if style is not None and not is_saved_style(style) else [])):
            file.unlink(missing_ok=True)


def layer_files(path: Path) -> list[Path]:
    """The files that a layer which is read consists of, in any format; none for a URL."""
    source = LayerSource.of(path)
    if source.url is not None:
        return []
    path = source.path
    form = format_of(path)
    others = [] if form is None else [*FileTarget(path, form, path.stem).files]
    if isinstance(form, VectorFormat) and form.text_only:
        others.append(path.with_suffix(".prj"))  # tells other programs the CRS
    return [path, *(file for file in others if file.exists())]


Target = FileTarget | DatabaseTable
"""Where objects go."""


def parse_output(text: str) -> Path | DatabaseTable:
    """Parses an output: 'postgresql://user@host/db?table=NAME' (or SCHEMA.NAME) is a table, all else a path.

    Raises:
        UsageError: if a database is named without a table, or the name of the table is not valid.
    """
    return parse_table(text) if is_database(text) else Path(text)


def check_target(target: Target, overwrite: bool = False, append: bool = False, folder_is_made: bool = False) -> None:
    """Checks that a file or table can be written; see `FileTarget.check`.

    Raises:
        UsageError, OutputError: as in `FileTarget.check`; also if the database cannot be reached.
    """
    if isinstance(target, FileTarget):
        target.check(overwrite, append, folder_is_made)
        return
    from lcageo.vector.postgis import check_table  # imports geopandas: only when needed

    check_table(target, overwrite or append)
