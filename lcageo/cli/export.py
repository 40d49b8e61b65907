"""lcageo export: writes a model as one file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console, options
from lcageo.errors import DeviceError, ModelError, OutputError, UsageError
from lcageo.extras import require


def export(
    model: Annotated[str, typer.Argument(help=options.MODEL_HELP)],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="ONNX file to write (.onnx).", rich_help_panel=options.RESULT
        ),
    ],
    formats: Annotated[
        str,
        typer.Option(
            "--formats",
            metavar="NAME,...",
            help="Also write descriptions beside the file. stac: NAME.stac.json, a STAC item (MLM extension); "
            "emd: NAME.emd and LcaObjectDetector.py, for ArcGIS.",
            show_default="the ONNX file only",
            rich_help_panel=options.RESULT,
        ),
    ] = "",
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Exports a model as ONNX for the QGIS plugin Deepness, GeoDeep, and other programs that run YOLOv9 detectors.

    Input: one tile, red, green, blue, 0 to 1. Output: (1, 4 + classes, points), centre x, y, width, height in tile
    pixels, then a score for each class. Tile size, overlap, classes and thresholds are in the file's metadata.

    Examples:

    - `lcageo export lca-s -o lca-s.onnx`
    - `lcageo export lca-s -o for-arcgis.onnx --formats stac,emd`
    """
    if output.suffix.lower() != ".onnx":
        raise UsageError(f"'{output}' is not an .onnx file; choose a name that ends in .onnx")
    from lcageo.export.export import Description, export_model, exported_files

    unknown = [name for name in options.split_names(formats) if name not in list(Description)]
    if unknown:
        raise UsageError(f"--formats '{unknown[0]}' is not a known format; choose from {', '.join(Description)}")
    wanted = [Description(name) for name in options.split_names(formats)]
    # An existing .py is no conflict: the function for ArcGIS is the same for all models.
    for path in exported_files(output, wanted):
        if path.exists() and path.suffix != ".py" and not overwrite:
            raise OutputError(f"'{path}' exists; choose another name, or use --overwrite")
    from lcageo.runtime.onnx_graph import EXPORTERS

    require("export", "torch", *EXPORTERS, error=DeviceError)
    from lcageo.runtime.catalog import find_card
    from lcageo.vector.publish import refuse_inputs

    card = find_card(model)
    if card.is_graph:
        raise ModelError(f"model '{card.name}' is an ONNX graph already: {card.weights}")
    refuse_inputs(exported_files(output, wanted), [(card.weights, "the model's own file")])
    console.Console().restriction(card)
    export_model(card, output, wanted)
    for path in exported_files(output, wanted):
        console.data(str(path))
