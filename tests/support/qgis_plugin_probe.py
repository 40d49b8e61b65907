"""The plugin inside QGIS's own Python, as `Qgis.probe` runs it: prints what was seen, as JSON.

python3 qgis_plugin_probe.py SCENE MODEL FOUND REVIEW TILES OUT: a scene, the folder of a model, layers found in the
scene, a URL template of XYZ tiles, an empty folder.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication

UTM = "EPSG:32633"


class Feedback(QgsProcessingFeedback):
    """Collects what an algorithm says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self.shares: list[float] = []
        self.progressChanged.connect(self.shares.append)

    def pushInfo(self, text: str) -> None:
        self.lines.append(("info", text))

    def pushWarning(self, text: str) -> None:
        self.lines.append(("warning", text))

    def pushCommandInfo(self, text: str) -> None:
        self.lines.append(("command", text))

    def setProgressText(self, text: str) -> None:
        self.lines.append(("progress", text))

    def reportError(self, text: str, fatalError: bool = False) -> None:
        self.lines.append(("error", text))


def loading(scene: str, model: str, out: Path) -> dict[str, Any]:
    """Runs an algorithm as the dialog does, and looks at the layers in the project."""
    import processing

    feedback = Feedback()
    parameters = {"INPUT": scene, "MODEL_FOLDER": model, "SCORE": 0.03}
    outputs = {"OUTPUT": str(out / "loaded.gpkg"), "REVIEW": str(out / "loaded_review.gpkg")}
    processing.runAndLoadResults("lcageo:detect", {**parameters, **outputs}, feedback=feedback)
    layers = {layer.name(): layer.renderer().type() for layer in QgsProject.instance().mapLayers().values()}
    return {"layers": layers, "lines": feedback.lines, "shares": feedback.shares}


def cancelling(scene: str, model: str, out: Path) -> dict[str, Any]:
    """Cancels a run once it says how far it is."""
    import processing

    feedback, target = Feedback(), out / "cancelled.gpkg"
    parameters = {"INPUT": scene, "MODEL_FOLDER": model, "EXTRA": "--backend torch --batch 1", "OUTPUT": str(target)}

    def cancel() -> None:
        while not any(kind == "progress" for kind, _ in feedback.lines):
            time.sleep(0.02)
        feedback.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    results = processing.run("lcageo:detect", parameters, feedback=feedback)
    thread.join()
    again = Feedback()
    processing.run("lcageo:detect", parameters, feedback=again)
    return {"results": results, "lines": feedback.lines, "again": again.lines, "written": target.exists()}


def modelling(scene: str, model: str, out: Path) -> dict[str, Any]:
    """Chains Detect and Filter in a model."""
    chain = QgsProcessingModelAlgorithm("chain", "tests")
    chain.addModelParameter(QgsProcessingParameterRasterLayer("scene", "scene"), QgsProcessingModelParameter("scene"))
    source = QgsProcessingModelChildParameterSource
    detect = QgsProcessingModelChildAlgorithm("lcageo:detect")
    detect.setChildId("detect")
    detect.addParameterSources("INPUT", [source.fromModelParameter("scene")])
    detect.addParameterSources("MODEL_FOLDER", [source.fromStaticValue(model)])
    detect.addParameterSources("SCORE", [source.fromStaticValue(0.03)])
    choose = QgsProcessingModelChildAlgorithm("lcageo:filter")
    choose.setChildId("choose")
    choose.addParameterSources("INPUT", [source.fromChildOutput("detect", "OUTPUT")])
    choose.addParameterSources("TOP", [source.fromStaticValue(7)])
    output = QgsProcessingModelOutput("chosen")
    output.setChildId("choose")
    output.setChildOutputName("OUTPUT")
    choose.setModelOutputs({"chosen": output})
    for child in (detect, choose):
        chain.addChildAlgorithm(child)
    context, feedback = QgsProcessingContext(), Feedback()
    context.setProject(QgsProject.instance())
    target = str(out / "chosen.gpkg")
    chain.initAlgorithm()
    _, succeeded = chain.run({"scene": scene, "choose:chosen": target}, context, feedback)
    return {"succeeded": succeeded, "features": QgsVectorLayer(target).featureCount(), "lines": feedback.lines}


def exporting(found: str, review: str, tiles: str, scene: str) -> dict[str, Any]:
    """Layers as files: their own, exports, and parts of what a server draws."""
    from lcageo_qgis import layers

    context, feedback = QgsProcessingContext(), Feedback()
    context.setProject(QgsProject.instance())
    own, subset, edited = (QgsVectorLayer(path, "layer", "ogr") for path in (found, found, review))
    subset.setSubsetString('"id" <= 3')
    edited.startEditing()
    edited.changeAttributeValue(1, edited.fields().indexOf("verdict"), "right")
    about: dict[str, Any] = {"own": layers.vector_path(own, context, feedback)}
    part = layers.vector_path(subset, context, feedback)
    about["subset"] = [part, QgsVectorLayer(part).featureCount()]
    about["edited"] = refusal(lambda: layers.vector_path(edited, context, feedback))
    edited.rollBack()
    layer = QgsRasterLayer(f"type=xyz&zmin=0&zmax=19&url={tiles}", "tiles", "wms")
    area = QgsReferencedRectangle(QgsRectangle(500000, 4999900, 500100, 5000000), QgsCoordinateReferenceSystem(UTM))
    about["no extent"] = refusal(lambda: layers.exported_raster(layer, None, 0.5, context, feedback))
    about["too large"] = refusal(lambda: layers.exported_raster(layer, area, 0.001, context, feedback))
    drawn = QgsRasterLayer(layers.exported_raster(layer, area, 0.5, context, feedback))
    about["drawn"] = [drawn.width(), drawn.height(), drawn.crs().authid(), drawn.bandCount()]
    about["value"] = drawn.dataProvider().sample(drawn.extent().center(), 1)[0]
    about["is file"] = [layers.is_file(layer), layers.is_file(QgsRasterLayer(scene))]
    about["bbox"] = layers.bbox_arguments(area)
    return about


def refusal(call: Any) -> str:
    """What a call that is refused says."""
    try:
        call()
    except QgsProcessingException as error:
        return str(error)
    return ""


def finding() -> dict[str, Any]:
    """Which command is run, and what a wrong setting gives."""
    from lcageo_qgis import environment
    from processing.core.ProcessingConfig import ProcessingConfig

    about: dict[str, Any] = {"noted": environment.lcageo(), "models": environment.models()}
    about["kept"] = environment._models_of.cache_info().hits
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("lcageo:detect")
    about["usable"] = list(algorithm.canExecute())
    about["options"] = algorithm.parameterDefinition("MODEL").options()
    ProcessingConfig.setSettingValue(environment.SETTING, "/nowhere")
    about["unusable"] = list(algorithm.canExecute())
    about["no models"] = environment.models()
    ProcessingConfig.setSettingValue(environment.SETTING, "")
    return about


def main(scene: str, model: str, found: str, review: str, tiles: str, folder: str) -> dict[str, Any]:
    """Loads the plugin as QGIS does, looks at everything, and unloads it."""
    import lcageo_qgis

    registry = QgsApplication.processingRegistry()
    plugin = lcageo_qgis.classFactory(None)
    plugin.initProcessing()
    provider = registry.providerById("lcageo")
    out = Path(folder)
    about: dict[str, Any] = {
        "algorithms": {
            one.name(): {
                "help": one.shortHelpString(),
                "without help": [
                    parameter.name()
                    for parameter in one.parameterDefinitions()
                    if not parameter.help() and not parameter.isDestination()
                ],
                "kinds": {parameter.name(): parameter.type() for parameter in one.parameterDefinitions()},
            }
            for one in provider.algorithms()
        },
        "icon": not provider.icon().isNull(),
        "finding": finding(),
        "loading": loading(scene, model, out),
        "cancelling": cancelling(scene, model, out),
        "modelling": modelling(scene, model, out),
        "exporting": exporting(found, review, tiles, scene),
    }
    plugin.unload()
    about["unloaded"] = registry.providerById("lcageo") is None
    return about


if __name__ == "__main__":
    application = QgsApplication([], True)
    QCoreApplication.setOrganizationName("QGIS")
    QCoreApplication.setApplicationName("QGIS3")
    application.initQgis()
    from processing.core.Processing import Processing

    Processing.initialize()
    print(json.dumps(main(*sys.argv[1:]), default=str))
    sys.stdout.flush()
