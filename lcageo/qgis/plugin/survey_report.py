"""Report of a survey: an index with a map of its rasters, and a page for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputHtml,
    QgsProcessingParameterFolderDestination,
)

from .algorithm import LcageoAlgorithm, Values, extra, folder
from .command import Ended

SUMMARY = "summary.json"
"""File by which a folder of `lcageo batch` is known."""
INDEX = "index.html"


class SurveyReport(LcageoAlgorithm):
    """Runs `lcageo report` on the results of `lcageo batch`."""

    NAME = "surveyreport"
    TITLE = "Report of a survey"
    ABOUT = (
        "Writes a folder of HTML pages to look through what Detect in a folder has found: an index with a map of the "
        "rasters, and a page for each. They need no network: to hand on to others."
    )

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        return [
            folder("INPUT", "Results of a survey", "The folder that Detect in a folder has written."),
            extra(),
            QgsProcessingParameterFolderDestination("OUTPUT", "Folder of pages"),
        ]

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Adds the parameters, and the index as an output, which QGIS lists in its results viewer."""
        super().initAlgorithm(configuration)
        self.addOutput(QgsProcessingOutputHtml("INDEX", "Index"))

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        results = self.parameterAsFile(parameters, "INPUT", context)
        if not (Path(results) / SUMMARY).is_file():
            raise QgsProcessingException(
                f"'{results}' has no {SUMMARY}; choose the folder that Detect in a folder wrote"
            )
        return [
            "report",
            results,
            "--output",
            parameters["OUTPUT"],
            "--overwrite",  # a report is made again from what is in the survey
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The folder, and its first page."""
        pages = parameters["OUTPUT"]
        return {"OUTPUT": pages, "INDEX": str(Path(pages) / INDEX)}
