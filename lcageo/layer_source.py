"""Where a layer is read from: a file or a URL, and which of its layers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lcageo.errors import UsageError
from lcageo.paths import on_disk
from lcageo.remote import ARCHIVE, prepare_gdal, public

LAYER_MARK = "|layername="
"""What separates a file from the name of a layer in it, as QGIS writes it (and so copies it to the clipboard)."""
_OPTION = re.compile(r"\|(?=(?:layername|layerid|geometrytype|uniqueGeometryType)=|option:)", re.IGNORECASE)
"""Start of an option of such a source."""
_FILTER = re.compile(r"\|subset=(?P<filter>.*?)(?=(?:\|(?:geometrytype|uniqueGeometryType)=\w*)*\Z)", re.I | re.S)
"""The filter of such a source, which QGIS writes behind the options above, except for the geometry's type."""
_ARCHIVE = re.compile(rf"(?P<vsi>{ARCHIVE})(?P<inside>[^/{{].*)", re.IGNORECASE)
_SCHEME = re.compile(r"(?<=http):/(?!/)|(?<=https):/(?!/)", re.IGNORECASE)
_URL = re.compile(r"(?P<vsi>/vsi[a-z]+/)?(?P<scheme>https?):/{1,2}(?P<rest>[^/].*)", re.IGNORECASE)
"""A URL; pathlib makes one slash of its two."""


@dataclass(frozen=True, slots=True)
class LayerSource:
    """A file with layers, and the name of one of them."""

    path: Path
    """The file; of a URL, as pathlib writes it."""
    layer: str | None
    """Name of the layer; None: the only one."""
    url: str | None
    """The URL, if it is one."""
    subset: str | None = None
    """Condition in SQL that its features meet; None: all count."""

    @classmethod
    def of(cls, path: Path) -> LayerSource:
        """Parses 'FILE', 'FILE|layername=NAME', 'FILE|layername=NAME|subset=CONDITION' and 'https://...'.

        Raises:
            UsageError: if it names a layer by its number, or filters it by a query.
        """
        layer, subset = None, None
        if on_disk(str(path)) is None:
            file, layer, subset = _parsed(path.as_posix())  # also on Windows, where a URL has become https:\\host
            path = Path(file)
        found = None if on_disk(str(path)) is not None else _URL.fullmatch(path.as_posix())
        url = None if found is None else f"{found['scheme']}://{found['rest']}"
        return cls(path, layer, url, subset)

    @property
    def gdal_path(self) -> str | None:
        """What GDAL opens if it is not a file on disk: a URL, or one of GDAL's own paths; None for a file."""
        if self.url is not None:
            prepare_gdal()
            return f"/vsicurl/{self.url}"
        is_vsi = self.path.as_posix().startswith("/vsi") and not self.path.exists()
        return _with_slashes(self.path.as_posix()) if is_vsi else None

    def __str__(self) -> str:
        """As it may be told and written."""
        name = public(str(self.path) if self.url is None else self.url)
        name += "" if self.layer is None else f"{LAYER_MARK}{self.layer}"
        return name if self.subset is None else f"{name}|subset={self.subset}"


def shown(path: Path) -> str:
    """A layer's file as it may be told: a URL without user and query, with the slashes that pathlib drops."""
    return str(LayerSource.of(path))


def _parsed(source: str) -> tuple[str, str | None, str | None]:
    """File, layer and filter of a source as QGIS writes it; the type of geometries, which it adds, is passed over."""
    found, subset = _FILTER.search(source), ""
    if found is not None:
        source, subset = source[: found.start()] + source[found.end() :], found["filter"].strip()
    file, *options = _OPTION.split(source)
    values = {key.lower(): value for key, _, value in (option.partition("=") for option in options)}
    if "layerid" in values:
        raise UsageError(f"'{public(file)}|layerid={values['layerid']}': name the layer, with '{LAYER_MARK}NAME'")
    if subset.lower().startswith("select "):
        raise UsageError(
            f"the filter of '{public(file)}' is a query, not a condition such as \"class\" = 'car'; save the selection "
            "as a layer of its own"
        )
    return file, values.get("layername", "").partition("|")[0] or None, subset or None


def _with_slashes(path: str) -> str:
    """One of GDAL's own paths with the slashes that pathlib drops: of a URL, and of a file's absolute path."""
    path = _SCHEME.sub("://", path)
    found = _ARCHIVE.fullmatch(path)
    if found is None or _holds_file(Path(found["inside"])) or not _holds_file(Path("/", found["inside"])):
        return path
    return f"{found['vsi']}/{found['inside']}"


def _holds_file(path: Path) -> bool:
    """Whether a path is that of a file, such as an archive, or leads through one."""
    return any(one.is_file() for one in (path, *path.parents))
