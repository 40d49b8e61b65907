"""Report: a page of the objects found, for the browser."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorLayer,
)

from .algorithm import LcageoAlgorithm, Values, documented, extra
from .command import Ended
from .layers import crs_arguments, is_file, raster_path


class Report(LcageoAlgorithm):
    """Runs `lcageo report`."""

    NAME = "report"
    TITLE = "Report of objects"
    ABOUT = "Writes one HTML file to look through the objects in a browser, without a network: to hand on to others."

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        return [
            documented(QgsProcessingParameterRasterLayer("INPUT", "Imagery"), "The raster that was searched."),
            documented(
                QgsProcessingParameterVectorLayer("LAYER", "Objects", [QgsProcessing.SourceType.TypeVectorPolygon]),
                "The objects that were found in it.",
            ),
            extra(),
            QgsProcessingParameterFileDestination("OUTPUT", "Page", "HTML files (*.html)"),
        ]

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        if not is_file(layer):
            raise QgsProcessingException(f"'{layer.name()}' comes from a server; choose a raster file")
        return [
            "report",
            raster_path(layer),
            *crs_arguments([layer]),
            self.layer_path(parameters, "LAYER", context, feedback),
            "--output",
            parameters["OUTPUT"],
            "--overwrite",  # QGIS has asked
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The page."""
        return {"OUTPUT": parameters["OUTPUT"]}
