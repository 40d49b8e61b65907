"""The QGIS plugin. QGIS's own Python runs it, so it imports only QGIS and the standard library of Python 3.9."""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """What QGIS calls to load a plugin."""
    from .plugin import LcageoPlugin

    return LcageoPlugin()
