"""Layers of QGIS as files that another process can open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsDistanceArea,
    QgsMapLayer,
    QgsPointXY,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

MOST_PIXELS = 1_000_000_000
"""Of an exported layer: four bytes each."""
_KNOWN_AUTHORITIES = ("EPSG", "ESRI", "OGC")
"""Others, such as QGIS's own USER, are not known elsewhere."""


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """A CRS as an argument."""
    is_known = crs.authid().partition(":")[0] in _KNOWN_AUTHORITIES
    return str(crs.authid() if is_known else crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED))


def bbox_arguments(extent: QgsReferencedRectangle | None) -> list[str]:
    """Options for an extent; none for none."""
    if extent is None:
        return []
    corners = (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum())
    box = [f"--bbox={','.join(map(repr, corners))}"]  # with '=', since the first number may be negative
    return [*box, "--bbox-crs", crs_text(extent.crs())] if extent.crs().isValid() else box


def is_file(layer: QgsMapLayer) -> bool:
    """Whether a raster layer is something that GDAL opens, and not drawn from a server."""
    return bool(layer.providerType() == "gdal")


def raster_path(layer: QgsMapLayer) -> str:
    """What GDAL opens of such a layer; QGIS adds open options after '|'."""
    return str(layer.source()).split("|")[0]


def exported_raster(
    layer: QgsRasterLayer,
    extent: QgsReferencedRectangle | None,
    gsd_m: float,
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> str:
    """Draws a part of a layer from a server, such as WMS or XYZ tiles, into a GeoTIFF; returns its path.

    Args:
        layer: what to draw.
        extent: the part.
        gsd_m: metres on the ground per pixel.
        context: of the algorithm.
        feedback: receives a message.

    Raises:
        QgsProcessingException: if there is no extent, or it has too many pixels.
    """
    if extent is None:
        raise QgsProcessingException(
            f"'{layer.name()}' comes from a server, so only a part of it can be searched; choose the extent"
        )
    crs = layer.crs()
    area = _transformed(extent, crs, context)
    columns, rows = (max(1, round(length / gsd_m)) for length in _size_m(area, crs, context))
    if columns * rows > MOST_PIXELS:
        raise QgsProcessingException(
            f"the extent has {columns:,} x {rows:,} pixels of {gsd_m:g} m; choose a smaller one or larger pixels"
        )
    feedback.pushInfo(f"drawing {columns:,} x {rows:,} pixels of '{layer.name()}'")
    path = QgsProcessingUtils.generateTempFilename("layer.tif")
    writer = QgsRasterFileWriter(path)
    writer.setCreateOptions(["COMPRESS=DEFLATE", "TILED=YES", "BIGTIFF=IF_SAFER"])
    pipe = QgsRasterPipe()  # of copies, since this is not the main thread
    for part in (layer.dataProvider(), layer.renderer()):
        pipe.set(part.clone())
    result = writer.writeRaster(pipe, columns, rows, area, crs, context.transformContext())
    if result != QgsRasterFileWriter.WriterError.NoError:
        raise QgsProcessingException(f"'{layer.name()}' could not be drawn into {path}; is its server reachable?")
    return str(path)


def _transformed(
    extent: QgsReferencedRectangle, crs: QgsCoordinateReferenceSystem, context: QgsProcessingContext
) -> QgsRectangle:
    """An extent in another CRS."""
    transform = QgsCoordinateTransform(extent.crs(), crs, context.transformContext())
    return transform.transformBoundingBox(extent)


def _size_m(
    area: QgsRectangle, crs: QgsCoordinateReferenceSystem, context: QgsProcessingContext
) -> tuple[float, float]:
    """Width and height on the ground, in metres, measured through the centre."""
    measure = QgsDistanceArea()
    measure.setSourceCrs(crs, context.transformContext())
    measure.setEllipsoid("EPSG:7030")  # WGS 84
    centre = area.center()
    across = (QgsPointXY(area.xMinimum(), centre.y()), QgsPointXY(area.xMaximum(), centre.y()))
    along = (QgsPointXY(centre.x(), area.yMinimum()), QgsPointXY(centre.x(), area.yMaximum()))
    return measure.measureLine(*across), measure.measureLine(*along)


def vector_path(layer: QgsVectorLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> str:
    """Path of a file with the layer alone: its own file, which knows how it was made, or else an export.

    Raises:
        QgsProcessingException: if it has edits that are not saved, or cannot be exported.
    """
    if layer.isEditable() and layer.isModified():
        raise QgsProcessingException(f"'{layer.name()}' has edits that are not saved; save them, then run again")
    path = QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source()).get("path", "")
    if layer.providerType() == "ogr" and path and _layers_in(path) == 1 and _is_as_in_file(layer):
        return str(path)
    feedback.pushInfo(f"'{layer.name()}' is exported, since it is not the only layer of a file, or not as in its file")
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    exported = QgsProcessingUtils.generateTempFilename("layer.gpkg")
    written = QgsVectorFileWriter.writeAsVectorFormatV3(layer, exported, context.transformContext(), options)
    if written[0] != QgsVectorFileWriter.WriterError.NoError:
        raise QgsProcessingException(f"'{layer.name()}' cannot be exported: {written[1]}")
    return str(exported)


def _is_as_in_file(layer: QgsVectorLayer) -> bool:
    """Whether a layer has all features, the fields and the CRS of its file, and no others."""
    own = layer.dataProvider()
    has_more = layer.subsetString() or layer.vectorJoins() or layer.fields().count() != own.fields().count()
    return not has_more and bool(layer.crs() == own.crs())


def _layers_in(path: str) -> int:
    """Number of layers with a geometry in a file; styles are tables without."""
    if not Path(path).is_file():
        return 0
    layers: list[Any] = QgsProviderRegistry.instance().providerMetadata("ogr").querySublayers(path)
    return len([layer for layer in layers if layer.wkbType() != QgsWkbTypes.Type.NoGeometry])
