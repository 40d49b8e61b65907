"""lcageo export: a model as one file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console, options
from lcageo.errors import DeviceError, OutputError, UsageError
from lcageo.extras import require


def export(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, card (.toml), or model folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="ONNX file to write, .onnx.")],
    formats: Annotated[
        str,
        typer.Option(
            "--formats",
            metavar="NAME,...",
            help="Also describe it beside the file. stac: NAME.stac.json, a STAC item (MLM extension) for catalogues; "
            "emd: NAME.emd and LcaObjectDetector.py, for ArcGIS.",
        ),
    ] = "",
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Writes a model as ONNX for the QGIS plugin Deepness, GeoDeep, and whatever runs YOLOv9 detectors.

    Input: one tile, red, green, blue, 0 to 1. Output: (1, 4 + classes, points), centre x, y, width, height in tile
    pixels, then a score for each class. Tile size, overlap, classes and thresholds are in the file's metadata.

    Example: lcageo export lca-s -o lca-s.onnx --formats stac,emd
    """
    if output.suffix.lower() != ".onnx":
        raise UsageError(f"'{output}' does not end in .onnx")
    from lcageo.export.export import Description, export_model, exported_files

    unknown = [name for name in options.split_names(formats) if name not in list(Description)]
    if unknown:
        raise UsageError(f"--formats has no '{unknown[0]}'; it has: {', '.join(Description)}")
    wanted = [Description(name) for name in options.split_names(formats)]
    # The function for ArcGIS is the same for all models.
    for path in exported_files(output, wanted):
        if path.exists() and path.suffix != ".py" and not overwrite:
            raise OutputError(f"'{path}' is there already; give another name, or --overwrite")
    require("export", "onnx", "onnx", "onnxscript", error=DeviceError)
    from lcageo.runtime.catalog import find_card

    card = find_card(model)
    console.Console().restriction(card)
    export_model(card, output, wanted)
    for path in exported_files(output, wanted):
        console.data(str(path))
