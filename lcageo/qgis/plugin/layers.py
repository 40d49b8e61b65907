"""Layers of QGIS as files that another process can open."""

from __future__ import annotations

from collections.abc import Sequence
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


def crs_arguments(layers: Sequence[QgsRasterLayer]) -> list[str]:
    """The option with the CRS that the user has assigned to rasters, in place of what their files say; none for none.

    Raises:
        QgsProcessingException: if several are assigned, of which the command takes one.
    """
    assigned = {
        crs_text(layer.crs()) for layer in layers if layer.crs().isValid() and layer.crs() != layer.dataProvider().crs()
    }
    if len(assigned) > 1:
        raise QgsProcessingException(
            f"the layers have different CRSs that are not in their files ({', '.join(sorted(assigned))}); choose those "
            "of one CRS at a time"
        )
    return ["--crs", *assigned] if assigned else []


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
    """What the command opens: the layer's own file, which knows how it was made, or else an export.

    Raises:
        QgsProcessingException: if it has edits that are not saved, or cannot be exported.
    """
    if layer.isEditable() and layer.isModified():
        raise QgsProcessingException(f"'{layer.name()}' has edits that are not saved; save them, then run again")
    own = _in_own_file(layer)
    if own is not None:
        return own
    feedback.pushInfo(f"'{layer.name()}' is exported, since it is in no file, or not as in its file")
    if layer.fields().lookupField("score") >= 0:
        feedback.pushWarning(
            f"the export of '{layer.name()}' has no record of the run that found its objects, so candidates count as "
            "objects; remove joins, virtual fields and an assigned CRS, or filter the candidates out first"
        )
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    exported = QgsProcessingUtils.generateTempFilename("layer.gpkg")
    written = QgsVectorFileWriter.writeAsVectorFormatV3(layer, exported, context.transformContext(), options)
    if written[0] != QgsVectorFileWriter.WriterError.NoError:
        raise QgsProcessingException(f"'{layer.name()}' cannot be exported: {written[1]}")
    return str(exported)


def _in_own_file(layer: QgsVectorLayer) -> str | None:
    """A layer in its own file, with its name and its filter where needed; None if the command cannot read it there."""
    provider = layer.dataProvider()
    is_as_in_file = layer.fields().count() == provider.fields().count() and layer.crs() == provider.crs()
    if layer.providerType() != "ogr" or not is_as_in_file:
        return None
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    if not Path(parts.get("path", "")).is_file():
        return None
    path = "".join(parts.get(name) or "" for name in ("vsiPrefix", "path", "vsiSuffix"))  # of a file in an archive
    names, number = _layers_in(path), parts.get("layerId")
    name = parts.get("layerName") or names.get(min(names, default=0) if number is None else number, "")
    condition = layer.subsetString().strip()
    chosen = f"|layername={name}" if len(names) > 1 else ""
    chosen += f"|subset={condition}" if condition else ""
    is_as_written = Path(f"file{chosen}").as_posix() == f"file{chosen}"  # paths have no '//', and no '\\' on Windows
    is_query = condition.lower().startswith("select ")
    return f"{path}{chosen}" if name and "|" not in name and is_as_written and not is_query else None


def _layers_in(path: str) -> dict[int, str]:
    """Names of the layers with a geometry in a file, by their numbers; styles are tables without."""
    layers: list[Any] = QgsProviderRegistry.instance().providerMetadata("ogr").querySublayers(path)
    return {one.layerNumber(): one.name() for one in layers if one.wkbType() != QgsWkbTypes.Type.NoGeometry}
