"""What only the dialog gives: temporary outputs, and layers that QGIS shows otherwise than their files; prints JSON.

python3 qgis_dialog_probe.py SCENE FOUND PHOTO MODEL OUT: a scene, objects found in it, a JPEG with a world file, the
folder of a model, an empty folder.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsField,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QCoreApplication, QVariant

SQUARE = [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]]
ONE = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": SQUARE}}


def run(name: str, **parameters: Any) -> dict[str, Any]:
    """Results and log of an algorithm, or why it failed."""
    import processing

    feedback = QgsProcessingFeedback(False)
    try:
        results = processing.run(f"lcageo:{name}", parameters, feedback=feedback)
    except QgsProcessingException as error:
        return {"error": str(error), "log": feedback.textLog()}
    return {"results": results, "log": feedback.textLog()}


def temporary(scene: str, found: str) -> dict[str, Any]:
    """Runs with the destinations that the dialog proposes: what they report, and whether it is there."""
    import processing

    filtered = {"INPUT": found, "SCORE": 0.025, "OUTPUT": "TEMPORARY_OUTPUT"}
    processing.runAndLoadResults("lcageo:filter", filtered)
    layers = [[one.renderer().type(), one.featureCount()] for one in QgsProject.instance().mapLayers().values()]
    page = run("report", INPUT=scene, LAYER=found, OUTPUT="TEMPORARY_OUTPUT")["results"]["OUTPUT"]
    labelled = {"INPUT": [scene], "LABELS": found, "SIZE": 128, "VAL": 0}
    chips = run("chips", **labelled, OUTPUT="TEMPORARY_OUTPUT")["results"]["OUTPUT"]
    return {"layers": layers, "page": Path(page).is_file(), "chips": Path(chips, "train.json").is_file()}


def assigned(photo: str, model: str, out: Path) -> dict[str, Any]:
    """Runs with a raster that has a CRS in QGIS only."""
    layers = [QgsRasterLayer(photo, "photo") for _ in range(2)]
    for layer, crs in zip(layers, ("EPSG:3395", "EPSG:3857"), strict=True):
        layer.setCrs(QgsCoordinateReferenceSystem(crs))
    found = str(out / "photo.gpkg")
    about = {"detect": run("detect", INPUT=layers[0], MODEL_FOLDER=model, SCORE=0.03, OUTPUT=found)}
    about["report"] = run("report", INPUT=layers[0], LAYER=found, OUTPUT=str(out / "photo.html"))
    labelled = {"LABELS": found, "SIZE": 128, "VAL": 0}
    about["chips"] = run("chips", INPUT=layers[:1], **labelled, OUTPUT=str(out / "chips"))
    about["two"] = run("chips", INPUT=layers, **labelled, OUTPUT=str(out / "none"))
    return about


def sources(found: str, out: Path) -> dict[str, Any]:
    """Layers as the command gets them, each with what the log says."""
    from lcageo_qgis import layers

    about = {}
    for name, condition in (("condition", "\"class\" <> ''"), ("slashes", "\"class\" <> '//'"), ("query", "")):
        layer = QgsVectorLayer(found, "found", "ogr")
        layer.setSubsetString(condition or "SELECT * FROM found WHERE id < 3")
        about[name] = exported(layers, layer)
    layer = QgsVectorLayer(found, "found", "ogr")
    layer.addExpressionField("1", QgsField("one", QVariant.Int))
    about["virtual field"] = exported(layers, layer)
    with zipfile.ZipFile(out / "results.zip", "w") as archive:
        archive.writestr("site/one.geojson", json.dumps(ONE))
    about["archive"] = exported(layers, QgsVectorLayer(f"/vsizip/{out}/results.zip/site/one.geojson", "one", "ogr"))
    return about


def exported(layers: Any, layer: QgsVectorLayer) -> list[Any]:
    """What the command gets, the number of features in it, and the log."""
    feedback = QgsProcessingFeedback(False)
    source = layers.vector_path(layer, QgsProcessingContext(), feedback)
    return [source, QgsVectorLayer(source).featureCount(), feedback.textLog()]


def main(scene: str, found: str, photo: str, model: str, folder: str) -> dict[str, Any]:
    """Loads the plugin as QGIS does, and looks at everything."""
    import lcageo_qgis

    plugin = lcageo_qgis.classFactory(None)
    plugin.initProcessing()
    return {
        "temporary": temporary(scene, found),
        "assigned": assigned(photo, model, Path(folder)),
        "sources": sources(found, Path(folder)),
    }


if __name__ == "__main__":
    application = QgsApplication([], True)
    QCoreApplication.setOrganizationName("QGIS")
    QCoreApplication.setApplicationName("QGIS3")
    application.initQgis()
    from processing.core.Processing import Processing

    Processing.initialize()
    print(json.dumps(main(*sys.argv[1:])))
    sys.stdout.flush()
