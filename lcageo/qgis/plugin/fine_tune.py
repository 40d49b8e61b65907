"""Fine-tune: a model learns from the chips that Cut chips has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
)

from .algorithm import LcageoAlgorithm, Values, documented, extra, folder, model, tick, whole
from .command import Ended


class FineTune(LcageoAlgorithm):
    """Runs `lcageo train --from`."""

    NAME = "finetune"
    TITLE = "Fine-tune a model"
    ABOUT = (
        "Trains a model on the chips of Cut chips from labels; classes of the same name keep what they learned. The "
        "folder that it writes is a model, for Own model in Detect objects. Needs lcageo with its extra 'train'."
    )

    def definitions(self) -> list[Any]:
        """The parameters, in the order of the dialog."""
        return [
            folder("INPUT", "Folder of chips", "As Cut chips from labels wrote it."),
            *model("It is the one to start from."),
            documented(
                QgsProcessingParameterNumber(
                    "MINUTES", "Minutes", QgsProcessingParameterNumber.Type.Double, 30.0, False, 0.01
                ),
                "Length of the training; half an hour is enough for some hundred labels.",
            ),
            whole("SIZE", "Side of the images", "In pixels, as the chips: a multiple of 32.", 640),
            tick("RESUME", "Continue a training that was stopped", "With the settings that it was started with."),
            extra(),
            QgsProcessingParameterFolderDestination("OUTPUT", "Folder of the new model"),
        ]

    def arguments(
        self, parameters: Values, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        """The command's arguments."""
        out = ["--out", parameters["OUTPUT"]]
        if self.parameterAsBool(parameters, "RESUME", context):
            return ["train", *out, "--resume"]
        chips = Path(self.parameterAsFile(parameters, "INPUT", context))
        if not (chips / "train.json").is_file():
            raise QgsProcessingException(f"'{chips}' has no train.json; choose the folder that Cut chips wrote")
        has_val = (chips / "val.json").is_file()
        return [
            "train",
            "--data",
            str(chips / "train.json"),
            *(["--val", str(chips / "val.json")] if has_val else []),
            *self.model_arguments("--from", parameters, context, required=True),
            *self.optional_number("--imgsz", parameters, "SIZE", context),
            *self.optional_number("--minutes", parameters, "MINUTES", context),
            *out,
        ]

    def outputs(self, parameters: Values, context: QgsProcessingContext, ended: Ended) -> Values:
        """The folder."""
        return {"OUTPUT": parameters["OUTPUT"]}
