"""How QGIS shows layers: python3 qgis_probe.py LAYER URI... with Debian's interpreter, which has QGIS's modules.

Every layer is opened as users do, without choosing a style, and rendered at two scales beside it: NAME.SCALE.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsExpressionContextUtils,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsRenderContext,
    QgsSymbol,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

SCALES = (2000, 4000)
SIDE = 600
BACKGROUND = QColor(40, 70, 60)


def opened(uri: str) -> dict[str, Any]:
    """A layer's style as QGIS reads it, and the labels that it draws at each scale."""
    layer = QgsVectorLayer(uri, "found", "ogr")
    about: dict[str, Any] = {"valid": layer.isValid(), "features": layer.featureCount()}
    if not layer.crs().isValid():  # CSV cannot store a CRS
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    renderer = layer.renderer()
    about["renderer"] = renderer.type()
    if about["renderer"] != "categorizedSymbol":
        return about
    about["attribute"] = renderer.classAttribute()
    about["categories"] = [
        [category.value(), category.label(), category.symbol().symbolLayer(1).strokeColor().getRgb()[:3]]
        for category in renderer.categories()
    ]
    settings = layer.labeling().settings()
    about["labels"] = [layer.labelsEnabled(), settings.scaleVisibility, settings.maximumScale, settings.minimumScale]
    opacities = {str(feature["id"]): opacity(layer, feature) for feature in layer.getFeatures()}
    about["opacities"] = {number: found for number, found in opacities.items() if found is not None}
    about["drawn"] = {str(scale): drawn(layer, scale, uri.split("|")[0]) for scale in SCALES}
    return about


def opacity(layer: QgsVectorLayer, feature: Any) -> float | None:
    """Opacity, per cent, of the symbol that QGIS chooses for a feature; None if it draws none."""
    context = QgsRenderContext()
    context.expressionContext().appendScopes(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.expressionContext().setFields(layer.fields())
    context.expressionContext().setFeature(feature)
    renderer = layer.renderer().clone()
    renderer.startRender(context, layer.fields())
    symbol = renderer.symbolForFeature(feature, context)
    if symbol is None:
        return None
    found, _ = symbol.dataDefinedProperties().valueAsDouble(QgsSymbol.PropertyOpacity, context.expressionContext(), -1)
    renderer.stopRender(context)
    return float(found)


def drawn(layer: QgsVectorLayer, scale: int, name: str) -> list[str]:
    """Renders the centre of a layer; returns the texts of its labels."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setBackgroundColor(BACKGROUND)
    settings.setExtent(layer.extent().buffered(1e-9))
    settings.setExtent(scaled(settings, scale))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(Path(f"{name}.{scale}.png")))
    results = job.takeLabelingResults()
    return [] if results is None else sorted(label.labelText for label in results.allLabels())


def scaled(settings: QgsMapSettings, scale: int) -> Any:
    """The extent around the same centre that gives a scale."""
    extent = settings.extent()
    extent.scale(scale / settings.scale())
    return extent


def main(uris: list[str]) -> None:
    """Prints the findings of every layer as JSON."""
    application = QgsApplication([], False)
    application.initQgis()
    print(json.dumps({uri: opened(uri) for uri in uris}))
    application.exitQgis()


if __name__ == "__main__":
    main(sys.argv[1:])
