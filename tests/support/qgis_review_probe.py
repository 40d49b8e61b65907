"""How QGIS opens review layers: python3 qgis_review_probe.py LAYER... with Debian's interpreter."""

from __future__ import annotations

import json
import sys
from typing import Any

from qgis.core import QgsApplication, QgsExpressionContextUtils, QgsRenderContext, QgsVectorLayer
from qgis_probe import drawn


def opened(path: str) -> dict[str, Any]:
    """The form's fields, the symbol of each feature in the order of ids, and the labels at a large scale."""
    layer = QgsVectorLayer(path, "review", "ogr")
    form = layer.editFormConfig()
    about: dict[str, Any] = {"form": [element.name() for element in form.invisibleRootContainer().children()]}
    for number, field in enumerate(layer.fields()):
        setup = layer.editorWidgetSetup(number)
        about[field.name()] = {
            "widget": setup.type(),
            "alias": layer.attributeAlias(number),
            "default": layer.defaultValueDefinition(number).expression(),
            "editable": not form.readOnly(number),
            "values": [value for one in setup.config().get("map", []) for name, value in one.items() if name],
        }
    about["symbols"] = symbols(layer)
    about["labels"] = drawn(layer, 1000, path)
    return about


def symbols(layer: QgsVectorLayer) -> list[str]:
    """The category that each feature is drawn in."""
    context = QgsRenderContext()
    context.expressionContext().appendScopes(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    renderer = layer.renderer()
    renderer.startRender(context, layer.fields())
    found = {}
    for feature in layer.getFeatures():
        context.expressionContext().setFeature(feature)
        (key,) = renderer.legendKeysForFeature(feature, context)
        found[feature["id"]] = renderer.categories()[int(key)].value()
    renderer.stopRender(context)
    return [found[number] for number in sorted(found)]


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    print(json.dumps({path: opened(path) for path in sys.argv[1:]}))
    application.exitQgis()
