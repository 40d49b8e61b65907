"""Where results go: a file with all that belongs to it, or a table of a database. Loads nothing that writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lcageo.errors import UsageError
from lcageo.vector.database_table import DatabaseTable, is_database, parse_table
from lcageo.vector.formats import (
    APPENDABLE,
    FORMATS,
    LABEL_FORMATS,
    RESERVED_TABLES,
    STYLE_SUFFIX,
    LabelFormat,
    VectorFormat,
    format_of,
    is_saved_style,
    sidecar,
)
from lcageo.vector.publish import check_output


@dataclass(frozen=True, slots=True)
class FileTarget:
    """A file of results, its format and the files that belong to it."""

    path: Path
    format: VectorFormat | LabelFormat

    @classmethod
    def of(cls, path: Path) -> FileTarget:
        """The target that a path names; a suffix in capitals becomes small, as GDAL's drivers and companions know it.

        Raises:
            UsageError: if its suffix is not that of a known format.
        """
        form = format_of(path)
        if form is None:
            known = ", ".join((*FORMATS, *(label.suffix for label in LABEL_FORMATS)))
            raise UsageError(f"output '{path}' has no known suffix; use one of {known}")
        return cls(path.with_suffix(path.suffix.lower()), form)

    @classmethod
    def of_layer(cls, path: Path) -> FileTarget:
        """The same for a map layer.

        Raises:
            UsageError: if the suffix is not that of a map layer.
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
        """The format of a map layer."""
        assert isinstance(self.format, VectorFormat), "not a map layer"
        return self.format

    @property
    def is_label_file(self) -> bool:
        """Whether it holds boxes in pixels instead of map features."""
        return isinstance(self.format, LabelFormat)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it may consist of, the one that names it first; no style is among them."""
        others = [self.path.with_suffix(suffix) for suffix in self.format.companions]
        if isinstance(self.format, VectorFormat) and not self.format.record_inside:
            others.append(sidecar(self.path))
        return (self.path, *others)

    @property
    def style(self) -> Path | None:
        """Where QGIS looks for its style: one for all layers of that stem. None: inside the file, or it has none."""
        beside = isinstance(self.format, VectorFormat) and not self.format.style_inside
        return self.path.with_suffix(STYLE_SUFFIX) if beside else None

    @property
    def layer(self) -> str:
        """Name of the layer in the file: the stem, after a "_" where a GeoPackage's table may not start so."""
        start = self.path.stem.lower()
        allowed = (start[0].isalnum() or start[0] == "_") and not start.startswith(RESERVED_TABLES)
        return self.path.stem if allowed or not self.vector_format.style_inside else f"_{self.path.stem}"

    def at(self, path: Path) -> FileTarget:
        """The same format elsewhere, for instance in the folder of a draft."""
        return replace(self, path=path)

    def check(self, overwrite: bool = False, append: bool = False, folder_is_made: bool = False) -> None:
        """Refuses, before any work is done, a target that could not be written.

        Args:
            overwrite: whether existing files may be replaced.
            append: whether objects are to be added to an existing file.
            folder_is_made: whether a missing folder will be made.

        Raises:
            UsageError: if it exists and may not, or nothing can be appended to its format.
            OutputError: if its folder is missing or cannot be written to.
        """
        if append and not (isinstance(self.format, VectorFormat) and self.format.appendable):
            raise UsageError(f"--append adds to {APPENDABLE} files and PostGIS tables, not to '{self.path}'")
        check_output(self.path, self.files, overwrite or append, folder_is_made)

    def remove(self) -> None:
        """Removes the result with all its files, if it is there; a style that somebody saved stays."""
        style = self.style
        for file in (*self.files, *([style] if style is not None and not is_saved_style(style) else [])):
            file.unlink(missing_ok=True)


Target = FileTarget | DatabaseTable
"""Where objects go."""


def parse_output(text: str) -> Path | DatabaseTable:
    """'postgresql://user@host/db?table=NAME' (or SCHEMA.NAME) is a table, everything else a file or folder.

    Raises:
        UsageError: if a database is named without a table, or with one that cannot be.
    """
    return parse_table(text) if is_database(text) else Path(text)


def check_target(target: Target, overwrite: bool = False, append: bool = False, folder_is_made: bool = False) -> None:
    """Refuses a file or table that could not be written; see `FileTarget.check`.

    Raises:
        UsageError, OutputError: see there; also if the database cannot be reached.
    """
    if isinstance(target, FileTarget):
        target.check(overwrite, append, folder_is_made)
        return
    from lcageo.vector.postgis import check_table  # geopandas: only where it is needed

    check_table(target, overwrite or append)
