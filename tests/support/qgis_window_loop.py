"""The loop of the guide to QGIS in its window: detect, stop and resume, judge, cut chips.

Arguments: scene, name of a model, folder to write to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.PyQt.QtWidgets import QComboBox, QDialogButtonBox
from qgis.utils import iface
from qgis_window import Job, close, layers, log, open_dialog, perform, picture, press, run


def job(seen: dict[str, Any], scene: str, model: str, folder: str) -> Job:
    """The loop; writes found.gpkg, review.gpkg, again.gpkg, chips/ and pictures."""
    out = Path(folder)
    iface.addRasterLayer(scene, "scene")
    shown = yield from open_dialog("Detect objects")
    yield from detect(seen, shown, model, out)
    objects, review = layers()["found"], layers()["review"]
    yield from stop_and_resume(seen, shown, model, out)
    yield from close(shown)
    picture(out / "map.png")
    yield from judge(seen, review, out)
    shown = yield from open_dialog("Cut chips from labels")
    labels = {"INPUT": [scene], "LABELS": objects, "REVIEW": review}
    yield from run(shown, {**labels, "SIZE": 320, "VAL": 0, "OUTPUT": str(out / "chips")})
    seen["chips"] = log(shown)


def detect(seen: dict[str, Any], shown: Any, model: str, out: Path) -> Job:
    """Detects, with a review."""
    outputs = {"OUTPUT": str(out / "found.gpkg"), "REVIEW": str(out / "review.gpkg")}
    yield from run(shown, {"MODEL": model, "SCORE": 0.2, **outputs})
    picture(out / "log.png")
    seen["detected"] = log(shown)
    seen["styles"] = {name: layer.renderer().type() for name, layer in layers().items()}


def stop_and_resume(seen: dict[str, Any], shown: Any, model: str, out: Path) -> Job:
    """Presses Cancel when the first tiles are done, and Run again."""
    parameters = {"OUTPUT": str(out / "again.gpkg"), "REVIEW": None, "EXTRA": "--batch 1 --overlap 50%"}
    before = log(shown).count(" left")
    yield from run(shown, parameters, lambda: log(shown).count(" left") > before)
    seen["stopped"], seen["written"] = log(shown), (out / "again.gpkg").exists()
    yield from run(shown, parameters)
    seen["resumed"] = log(shown)


def judge(seen: dict[str, Any], layer: Any, out: Path) -> Job:
    """Opens the form of the first object of a review, calls it wrong, and saves the edits."""
    iface.setActiveLayer(layer)
    iface.actionToggleEditing().trigger()
    feature = next(one for one in layer.getFeatures() if one["kind"] == "object")
    seen["judged"] = feature["id"]
    form = iface.getFeatureForm(layer, feature)
    form.show()
    boxes = {one.objectName(): one for one in form.findChildren(QComboBox)}
    seen["boxes"] = {name: [box.itemText(row) for row in range(box.count())] for name, box in boxes.items()}
    boxes["verdict"].setCurrentText("wrong")
    yield lambda: form.isVisible()
    picture(out / "form.png")
    press(form.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok))
    yield lambda: not form.isVisible()
    iface.actionSaveActiveLayerEdits().trigger()
    iface.actionToggleEditing().trigger()
    yield lambda: not layer.isEditable()


perform(job)
