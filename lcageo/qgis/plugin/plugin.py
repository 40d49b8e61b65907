"""The plugin as QGIS sees it: it adds a provider to the Processing toolbox, and nothing else."""

from __future__ import annotations

from qgis.core import QgsApplication

from .provider import LcageoProvider


class LcageoPlugin:
    """Adds the provider when the plugin is loaded, and removes it with the plugin."""

    def __init__(self) -> None:
        self._provider: LcageoProvider | None = None

    def initProcessing(self) -> None:
        """Adds the provider; also called by qgis_process, which has no window."""
        self._provider = LcageoProvider()
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:
        """Called by QGIS with a window."""
        self.initProcessing()

    def unload(self) -> None:
        """Called when the plugin is switched off."""
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
