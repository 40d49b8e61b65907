"""Filter: chooses objects from a layer."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterCrs,
    QgsProcessingParameterVectorDestination,
    QgsProcessingParameterVectorLayer,
)

from .algorithm import LcageoAlgorithm, Values, documented, extra, number, text
from .command import Ended
from .layers import crs_text


class Filter(LcageoAlgorithm):
    """Runs `lcageo filter`."""

    NAME = "filter"
    TITLE = "Filter objects"
    ABOUT = (
        "Chooses objects from a layer by score, class, size and place, without running the model. With candidates in "
        "the layer (Keep candidates from), thresholds can be tried in seconds."
    )

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        return [
            documented(
                QgsProcessingParameterVectorLayer("INPUT", "Objects", [QgsProcessing.SourceType.TypeVectorPolygon]),
                "A layer that Detect objects, Detect in a folder or Filter has written.",
            ),
            number("SCORE", "Minimum score", "0 to 1. Empty: the thresholds that the layer was made with.", high=1.0),
            text("PER_CLASS", "Minimum scores of classes", "Such as ship=0.4, airplane=0.5."),
            text("CLASSES", "Classes", "Names of the classes to keep, with commas. Empty: all."),
            number("MIN_AREA", "Minimum area", "In square metres on the ground."),
            documented(
                QgsProcessingParameterVectorLayer(
                    "AOI", "Area of interest", [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
                ),
                "Keeps objects whose centre is inside these polygons.",
            ),
            number("TOP", "At most", "Keeps so many objects, those with the highest scores."),
            documented(QgsProcessingParameterCrs("CRS", "CRS", optional=True), "Reprojects the objects. Empty: as is."),
            extra(),
            QgsProcessingParameterVectorDestination(
                "OUTPUT", "Chosen objects", QgsProcessing.SourceType.TypeVectorPolygon
            ),
        ]

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        crs = self.parameterAsCrs(parameters, "CRS", context)
        return [
            "filter",
            self.layer_path(parameters, "INPUT", context, feedback),
            parameters["OUTPUT"],
            *self.optional_number("--score", parameters, "SCORE", context),
            *self.optional_text("--per-class", parameters, "PER_CLASS", context),
            *self.optional_text("--classes", parameters, "CLASSES", context),
            *self.optional_number("--min-area", parameters, "MIN_AREA", context),
            *self.optional_layer("--aoi", parameters, "AOI", context, feedback),
            *self.optional_number("--top", parameters, "TOP", context),
            *(["--to", crs_text(crs)] if crs.isValid() else []),
            "--overwrite",  # QGIS has asked
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The layer."""
        return {"OUTPUT": parameters["OUTPUT"]}
