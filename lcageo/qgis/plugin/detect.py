"""Detect objects: one raster layer, one layer of objects."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterExtent,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
    QgsProcessingParameterVectorLayer,
)

from .algorithm import LcageoAlgorithm, Values, documented, extra, model, number, text
from .command import Ended
from .layers import bbox_arguments, crs_arguments, exported_raster, is_file, raster_path

SERVER_GSD_M = 0.3
"""Resolution at which layers from a server are drawn, metres: cars are visible, and most services have it."""


class Detect(LcageoAlgorithm):
    """Runs `lcageo detect`."""

    NAME = "detect"
    TITLE = "Detect objects"
    ABOUT = (
        "Finds objects in imagery of any size and adds them as polygons with class, score and size, coloured by class. "
        "If it is stopped, running it again with the same files continues."
    )

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        return [
            documented(
                QgsProcessingParameterRasterLayer("INPUT", "Imagery"),
                "A raster layer or file. Of a layer from a server (WMS, XYZ tiles), the extent is drawn into a file.",
            ),
            *model("Without a choice: lcageo's default."),
            documented(
                QgsProcessingParameterExtent("EXTENT", "Extent", optional=True),
                "Only this rectangle is searched. Without one: the whole layer.",
            ),
            documented(
                QgsProcessingParameterVectorLayer(
                    "AOI", "Area of interest", [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
                ),
                "Only the inside of these polygons is searched.",
            ),
            text("CLASSES", "Classes", "Names of the classes to detect, with commas: ship, storage tank. Empty: all."),
            number("SCORE", "Minimum score", "0 to 1. Empty: the model's own threshold for each class.", high=1.0),
            number(
                "KEEP",
                "Keep candidates from",
                "Also writes objects with a lower score, from this one on, for Filter to choose from. The layer hides "
                "them until they are ticked in the legend.",
                high=1.0,
            ),
            text("BANDS", "Bands", "Numbers of the bands for red, green, blue: 4,3,2.", advanced=True),
            documented(
                QgsProcessingParameterNumber(
                    "SERVER_GSD",
                    "Metres per pixel of a layer from a server",
                    QgsProcessingParameterNumber.Type.Double,
                    SERVER_GSD_M,
                    False,
                    0.01,
                ),
                "Resolution at which such a layer is drawn before it is searched.",
                advanced=True,
            ),
            extra(),
            QgsProcessingParameterVectorDestination("OUTPUT", "Objects", QgsProcessing.SourceType.TypeVectorPolygon),
            documented(
                QgsProcessingParameterVectorDestination(
                    "REVIEW", "Review", QgsProcessing.SourceType.TypeVectorPolygon, optional=True, createByDefault=False
                ),
                "A layer of the objects that the model is least certain of. Its form asks whether each is right or "
                "wrong, or of another class; Cut chips takes the answers.",
            ),
        ]

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        extent = self.extent(parameters, context)
        if is_file(layer) and extent is not None and parameters.get("AOI"):
            raise QgsProcessingException("Choose an extent or an area of interest, not both.")
        if is_file(layer):
            source = [raster_path(layer), *crs_arguments([layer]), *bbox_arguments(extent)]
        else:
            gsd_m = self.parameterAsDouble(parameters, "SERVER_GSD", context)
            source = [exported_raster(layer, extent, gsd_m, context, feedback)]
        return [
            "detect",
            *source,
            *self.model_arguments("--model", parameters, context),
            *self.optional_layer("--aoi", parameters, "AOI", context, feedback),
            *self.optional_text("--classes", parameters, "CLASSES", context),
            *self.optional_number("--score", parameters, "SCORE", context),
            *self.optional_number("--keep", parameters, "KEEP", context),
            *self.optional_text("--bands", parameters, "BANDS", context),
            "--output",
            parameters["OUTPUT"],
            *(["--review", parameters["REVIEW"]] if parameters["REVIEW"] else []),
            "--overwrite",  # QGIS has asked
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The layers."""
        return {name: parameters[name] for name in ("OUTPUT", "REVIEW") if parameters[name]}
