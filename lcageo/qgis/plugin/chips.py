"""Cut chips: labelled images to train on, from labels or from what Detect found and a review corrected."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterField,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorLayer,
)

from .algorithm import LcageoAlgorithm, Values, documented, extra, number, text, tick, whole
from .command import Ended
from .layers import crs_arguments, is_file, raster_path


class CutChips(LcageoAlgorithm):
    """Runs `lcageo chips`."""

    NAME = "chips"
    TITLE = "Cut chips from labels"
    ABOUT = (
        "Cuts rasters and their labels into small images for Fine-tune, split by blocks of ground into those to train "
        "on and those to validate with. Everything in the area without a label counts as background."
    )

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        return [
            documented(
                QgsProcessingParameterMultipleLayers("INPUT", "Imagery", QgsProcessing.SourceType.TypeRaster),
                "Raster layers or files that show the labels.",
            ),
            documented(
                QgsProcessingParameterVectorLayer("LABELS", "Labels", [QgsProcessing.SourceType.TypeVectorAnyGeometry]),
                "Polygons or points of the objects: drawn by hand, or as Detect objects wrote them.",
            ),
            documented(
                QgsProcessingParameterVectorLayer(
                    "REVIEW", "Review", [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
                ),
                "The review layer that was written with the labels. Wrong objects are left out of them, those of "
                "another class get it, right ones and those that you drew are added.",
            ),
            documented(
                QgsProcessingParameterField("CLASS_FIELD", "Class attribute", None, "LABELS", optional=True),
                "Attribute that holds the class. Empty: class, label, name, category, classname or class_name.",
            ),
            text("CLASS", "Class of all labels", "If no attribute has it."),
            number("POINT_SIZE", "Size of point labels", "Side of the box around a point, in metres."),
            documented(
                QgsProcessingParameterVectorLayer(
                    "AOI", "Completely labelled area", [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
                ),
                "Polygons in which every object has a label. Empty: all of the imagery.",
            ),
            whole("SIZE", "Side of a chip", "In pixels; train with the same size.", 640),
            documented(
                QgsProcessingParameterNumber(
                    "VAL", "Share to validate with", QgsProcessingParameterNumber.Type.Double, 0.2, False, 0.0, 0.9
                ),
                "Share of the labels that training does not see. 0: none.",
                advanced=True,
            ),
            tick("OVERWRITE", "Replace chips that are there", "Otherwise, a folder with chips is refused."),
            extra(),
            QgsProcessingParameterFolderDestination("OUTPUT", "Folder of chips"),
        ]

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        layers = self.parameterAsLayerList(parameters, "INPUT", context)
        drawn = [layer.name() for layer in layers if not is_file(layer)]
        if drawn:
            raise QgsProcessingException(f"'{drawn[0]}' comes from a server; export the labelled part of it to a file")
        return [
            "chips",
            *map(raster_path, layers),
            *crs_arguments(layers),
            "--labels",
            self.layer_path(parameters, "LABELS", context, feedback),
            *self.optional_layer("--review", parameters, "REVIEW", context, feedback),
            *self.optional_text("--class-field", parameters, "CLASS_FIELD", context),
            *self.optional_text("--class", parameters, "CLASS", context),
            *self.optional_number("--point-size", parameters, "POINT_SIZE", context),
            *self.optional_layer("--aoi", parameters, "AOI", context, feedback),
            *self.optional_number("--size", parameters, "SIZE", context),
            *self.optional_number("--val", parameters, "VAL", context),
            "--output",
            parameters["OUTPUT"],
            *(["--overwrite"] if self.parameterAsBool(parameters, "OVERWRITE", context) else []),
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The folder."""
        return {"OUTPUT": parameters["OUTPUT"]}
