"""lcageo export: a model as one file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console, options
from lcageo.errors import DeviceError, OutputError, UsageError


def export(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, card (.toml), or model folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="ONNX file to write, .onnx.")],
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Writes a model as ONNX for the QGIS plugin Deepness, GeoDeep, and whatever runs YOLOv9 detectors.

    Input: one tile, red, green, blue, 0 to 1. Output: (1, 4 + classes, points), centre x, y, width, height in tile
    pixels, then a score for each class. Tile size, overlap, classes and thresholds are in the file's metadata.

    Example: lcageo export lca-s -o lca-s.onnx
    """
    from importlib.util import find_spec

    if output.suffix.lower() != ".onnx":
        raise UsageError(f"'{output}' does not end in .onnx")
    if output.exists() and not overwrite:
        raise OutputError(f"'{output}' is there already; give another name, or --overwrite")
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise DeviceError("export needs onnx and onnxscript: pip install 'lcageo[onnx]'")
    from lcageo.pipeline.plan import choose_overlap
    from lcageo.runtime.catalog import find_card
    from lcageo.runtime.onnx_export import export_yolo

    card = find_card(model)
    content = export_yolo(card, choose_overlap(card, None))
    part = output.with_name(f".{output.name}.part")
    try:
        part.write_bytes(content)
        part.replace(output)
    except OSError as error:
        raise OutputError(f"'{output}' cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    console.data(str(output))
