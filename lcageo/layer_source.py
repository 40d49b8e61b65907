"""Where a layer is read from: a file or a URL, and which of its layers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lcageo.paths import on_disk
from lcageo.remote import prepare_gdal, public

LAYER_MARK = "|layername="
"""What separates a file from the name of a layer in it, as QGIS writes it (and so copies it to the clipboard)."""
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

    @classmethod
    def of(cls, path: Path) -> LayerSource:
        """Parses 'FILE', 'FILE|layername=NAME' and 'https://...'."""
        file, mark, layer = str(path).partition(LAYER_MARK)
        if mark and on_disk(str(path)) is None:
            path = Path(file)
        else:
            layer = ""
        found = None if on_disk(str(path)) is not None else _URL.fullmatch(str(path))
        url = None if found is None else f"{found['scheme']}://{found['rest']}"
        return cls(path, layer.partition("|")[0] or None, url)  # QGIS appends more, such as |subset=

    @property
    def gdal_path(self) -> str | None:
        """What GDAL opens if it is not a file on disk: a URL, or one of GDAL's own paths; None for a file."""
        if self.url is not None:
            prepare_gdal()
            return f"/vsicurl/{self.url}"
        return str(self.path) if str(self.path).startswith("/vsi") and not self.path.exists() else None

    def __str__(self) -> str:
        """As it may be told and written."""
        name = public(str(self.path) if self.url is None else self.url)
        return name if self.layer is None else f"{name}{LAYER_MARK}{self.layer}"
