"""Detect in a folder: a survey of many rasters, a joint layer of all objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterVectorLayer,
)

from .algorithm import LcageoAlgorithm, Values, documented, extra, folder, model, number, text, tick
from .command import Ended

JOINT = "survey.gpkg"
"""Name that `lcageo batch` gives the joint layer."""


class DetectFolder(LcageoAlgorithm):
    """Runs `lcageo batch`."""

    NAME = "detectfolder"
    TITLE = "Detect in a folder"
    ABOUT = (
        "Finds objects in all rasters of a folder. Writes a layer per raster, one of all objects in which each counts "
        "once, and a table. Run again, it processes only what is new or has changed, or was not finished."
    )

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        return [
            folder("INPUT", "Folder of imagery", "All .tif, .jp2 and .vrt files in it are searched."),
            tick("RECURSIVE", "Also subfolders", "Also searches the rasters in subfolders.", True),
            *model("Without a choice: lcageo's default."),
            documented(
                QgsProcessingParameterVectorLayer(
                    "AOI", "Area of interest", [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
                ),
                "Only the inside of these polygons is searched.",
            ),
            text("CLASSES", "Classes", "Names of the classes to detect, with commas: ship, storage tank. Empty: all."),
            number("SCORE", "Minimum score", "0 to 1. Empty: the model's own threshold for each class.", high=1.0),
            number(
                "KEEP", "Keep candidates from", "Also writes objects with a lower score, from this one on.", high=1.0
            ),
            tick(
                "REVIEW", "Also write layers to review", "In the folder 'review': what the model is least certain of."
            ),
            tick("LOAD", "Add the joint layer to the project", "Untick it inside a model.", True),
            extra(),
            QgsProcessingParameterFolderDestination("OUTPUT", "Results"),
        ]

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Adds the parameters, and the joint layer as an output, whose path follows from the folder."""
        super().initAlgorithm(configuration)
        self.addOutput(
            QgsProcessingOutputVectorLayer("LAYER", "Joint layer", QgsProcessing.SourceType.TypeVectorPolygon)
        )

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        return [
            "batch",
            self.parameterAsFile(parameters, "INPUT", context),
            "--out",
            parameters["OUTPUT"],
            *(["--recursive"] if self.parameterAsBool(parameters, "RECURSIVE", context) else []),
            *self.model_arguments("--model", parameters, context),
            *self.optional_layer("--aoi", parameters, "AOI", context, feedback),
            *self.optional_text("--classes", parameters, "CLASSES", context),
            *self.optional_number("--score", parameters, "SCORE", context),
            *self.optional_number("--keep", parameters, "KEEP", context),
            *(["--review"] if self.parameterAsBool(parameters, "REVIEW", context) else []),
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The folder and the joint layer, which is added to the project."""
        results = parameters["OUTPUT"]
        joint = Path(results) / JOINT
        if not joint.is_file():
            return {"OUTPUT": results}
        if self.parameterAsBool(parameters, "LOAD", context) and context.project() is not None:
            details = QgsProcessingContext.LayerDetails(Path(results).name, context.project(), "LAYER")
            context.addLayerToLoadOnCompletion(str(joint), details)
        return {"OUTPUT": results, "LAYER": str(joint)}
