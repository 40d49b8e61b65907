"""The pictures of the guide to QGIS, taken in its window.

Arguments: scene, folder of the pictures, folder for layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsRectangle
from qgis.PyQt.QtWidgets import QDockWidget
from qgis.utils import iface
from qgis_window import Job, close, layers, open_dialog, perform, picture, run

CLASSES = "airplane, vehicle, storage tank"
ACROSS_M = 250.0
"""Width of the ground in a picture."""


def job(seen: dict[str, Any], scene: str, pictures: str, folder: str) -> Job:
    """Takes qgis_dialog.png, qgis_objects.jpg and qgis_review.jpg."""
    out = Path(pictures)
    iface.addRasterLayer(scene, "scene")
    iface.mainWindow().findChild(QDockWidget, "Browser").hide()
    shown = yield from open_dialog("Detect objects")
    shown.resize(900, 760)
    shown.mainWidget().setParameters({"MODEL": "lca-s", "CLASSES": CLASSES})
    yield lambda: True
    shown.grab().save(str(out / "qgis_dialog.png"))
    outputs = {"OUTPUT": f"{folder}/found.gpkg", "REVIEW": f"{folder}/review.gpkg"}
    yield from run(shown, {"CLASSES": "", **outputs})
    yield from close(shown)
    iface.mainWindow().findChild(QDockWidget, "ProcessingToolbox").hide()
    iface.messageBar().clearWidgets()
    objects, review = layers()["found"], layers()["review"]
    best = sorted(objects.getFeatures(), key=lambda one: one["score"])[-1]
    yield from look_at(best, review.id())
    picture(out / "qgis_objects.jpg")
    doubtful = next(one for one in review.getFeatures() if one["kind"] == "object")
    iface.setActiveLayer(review)
    iface.actionToggleEditing().trigger()
    yield from look_at(doubtful, objects.id())
    form = iface.getFeatureForm(review, doubtful)
    form.setParent(iface.mainWindow())
    form.setGeometry(820, 320, 445, 420)
    form.show()
    yield lambda: form.isVisible()
    picture(out / "qgis_review.jpg")
    iface.actionRollbackEdits().trigger()


def look_at(feature: Any, hidden: str) -> Job:
    """Shows the surroundings of a feature, and hides a layer."""
    root = iface.layerTreeView().layerTreeModel().rootGroup()
    for layer in root.findLayers():
        layer.setItemVisibilityChecked(layer.layerId() != hidden)
        layer.setExpanded(layer.layerId() != hidden)
    centre = feature.geometry().boundingBox().center()
    half = ACROSS_M / 2
    iface.mapCanvas().setExtent(
        QgsRectangle(centre.x() - half, centre.y() - half, centre.x() + half, centre.y() + half)
    )
    iface.mapCanvas().refresh()
    yield lambda: not iface.mapCanvas().isDrawing()


perform(job)
