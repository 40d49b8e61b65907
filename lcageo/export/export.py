"""Exports a model as a file that other programs run, with descriptions that they read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from lcageo.errors import OutputError
from lcageo.export.arcgis import FUNCTION_FILE, esri_definition, function_source
from lcageo.inference.plan import choose_overlap
from lcageo.palette import class_colour
from lcageo.runtime.catalog import ModelCard
from lcageo.vector.publish import Publication


class Description(StrEnum):
    """Kinds of description that can accompany an exported model."""

    STAC = "stac"
    EMD = "emd"


def exported_files(output: Path, formats: Sequence[Description]) -> tuple[Path, ...]:
    """Files that an export writes, the ONNX file first; ArcGIS models share one raster function per folder."""
    beside = {
        Description.STAC: (output.with_suffix(".stac.json"),),
        Description.EMD: (output.with_suffix(".emd"), output.with_name(FUNCTION_FILE)),
    }
    return (output, *(path for form in dict.fromkeys(formats) for path in beside[form]))


def export_model(card: ModelCard, output: Path, formats: Sequence[Description]) -> None:
    """Writes the files of `exported_files`, all or none.

    Raises:
        ModelError: if the weights are missing, altered, or do not fit the network.
        OutputError: if a file cannot be written; then none is.
    """
    from lcageo.export.stac import stac_item
    from lcageo.runtime.onnx_export import export_yolo  # imports torch

    overlap = choose_overlap(card, None)
    content = export_yolo(card, overlap)
    contents = [content]
    for form in dict.fromkeys(formats):
        if form is Description.STAC:
            contents.append(_json(stac_item(card, overlap, content, f"./{output.name}")))
        else:
            contents.append(_json(esri_definition(card, overlap, output.name, class_colour)))
            contents.append(function_source().encode())
    with Publication() as publication:
        for path, data in zip(exported_files(output, formats), contents, strict=True):
            try:
                publication.draft(path).write_bytes(data)
            except OSError as error:
                raise OutputError(f"'{path}' cannot be written: {error.strerror}") from error
        publication.publish()


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
