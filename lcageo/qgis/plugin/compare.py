"""Compare with truth: how many of the objects found are right, and how many are missing."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorDestination,
    QgsProcessingParameterVectorLayer,
)

from .algorithm import LcageoAlgorithm, Values, documented, extra, number
from .command import Ended

FIGURES = ("precision", "recall", "f1")


class Compare(LcageoAlgorithm):
    """Runs `lcageo evaluate --layer`."""

    NAME = "compare"
    TITLE = "Compare with truth"
    ABOUT = (
        "Matches objects found with true ones, class by class, and counts: precision is the share of those found that "
        "are right, recall the share of the true ones that were found. Both layers must cover the same area."
    )

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        polygons = [QgsProcessing.SourceType.TypeVectorPolygon]
        return [
            documented(QgsProcessingParameterVectorLayer("INPUT", "Objects found", polygons), "As detected."),
            documented(
                QgsProcessingParameterVectorLayer("TRUTH", "True objects", polygons),
                "Polygons in any CRS; their class is in class, label, name, category, classname or class_name.",
            ),
            number("SCORE", "Minimum score", "0 to 1. Empty: all objects of the layer count.", high=1.0),
            documented(
                QgsProcessingParameterNumber(
                    "IOU", "Minimum overlap", QgsProcessingParameterNumber.Type.Double, 0.5, False, 0.01, 1.0
                ),
                "Intersection over union from which two objects are the same.",
            ),
            extra(),
            documented(
                QgsProcessingParameterVectorDestination(
                    "OUTPUT", "Differences", QgsProcessing.SourceType.TypeVectorPolygon
                ),
                "All objects, found and missed, with what they are.",
            ),
        ]

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Adds the parameters, and the figures as outputs for models."""
        super().initAlgorithm(configuration)
        for name in FIGURES:
            self.addOutput(QgsProcessingOutputNumber(name.upper(), name))

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        return [
            "evaluate",
            "--layer",
            self.layer_path(parameters, "INPUT", context, feedback),
            "--truth",
            self.layer_path(parameters, "TRUTH", context, feedback),
            *self.optional_number("--score", parameters, "SCORE", context),
            *self.optional_number("--iou", parameters, "IOU", context),
            "--output",
            parameters["OUTPUT"],
            "--overwrite",  # QGIS has asked
            "--json",
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The layer of the differences, and the figures of all classes together."""
        overall = json.loads(ended.out)["overall"]
        figures = {name.upper(): overall[name] for name in FIGURES if overall[name] is not None}
        return {"OUTPUT": parameters["OUTPUT"], **figures}
