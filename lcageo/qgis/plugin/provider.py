"""The provider `lcageo` of the Processing toolbox, with its algorithms and its one setting."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .chips import CutChips
from .compare import Compare
from .detect import Detect
from .detect_folder import DetectFolder
from .environment import SETTING
from .filter import Filter
from .fine_tune import FineTune
from .report import Report
from .survey_report import SurveyReport

ALGORITHMS = (Detect, DetectFolder, Filter, CutChips, FineTune, Report, SurveyReport, Compare)
NAME = "lcageo"


class LcageoProvider(QgsProcessingProvider):
    """Algorithms that run the lcageo command of another Python environment."""

    def id(self) -> str:
        """As in `qgis_process run lcageo:detect`."""
        return NAME

    def name(self) -> str:
        """As the toolbox shows it."""
        return NAME

    def longName(self) -> str:
        """As lists of providers show it."""
        return "lcageo: objects in large imagery"

    def icon(self) -> QIcon:
        """The plugin's icon."""
        return QIcon(str(Path(__file__).with_name("icon.svg")))

    def load(self) -> bool:
        """Adds the setting to QGIS's options, and the algorithms."""
        ProcessingConfig.settingIcons[NAME] = self.icon()
        about = "lcageo command, or folder of its environment (empty: where the plugin was installed from, else PATH)"
        ProcessingConfig.addSetting(Setting(NAME, SETTING, about, ""))
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Removes the setting."""
        ProcessingConfig.removeSetting(SETTING)

    def loadAlgorithms(self) -> None:
        """Adds all algorithms."""
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportedOutputVectorLayerExtensions(self) -> list[str]:
        """Formats of layers that lcageo writes and QGIS opens; the first is the default."""
        return ["gpkg", "geojson", "shp", "fgb"]

    def supportsNonFileBasedOutput(self) -> bool:
        """Layers in memory or in databases cannot be handed to another process."""
        return False
