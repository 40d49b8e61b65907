"""Options that several commands share, and functions that parse their values."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from lcageo.cli import console
from lcageo.config import AUTO_GSD, DEFAULT_MODEL, NATIVE_GSD, FormatName
from lcageo.errors import UsageError

TABLE_HELP = "postgresql://USER@HOST/DB?table=NAME"
SCENE_HELP = (
    "Raster: GeoTIFF, COG, VRT, JPEG 2000, a URL, a GDAL path such as /vsicurl/..., a STAC item (file or URL), or a "
    "basemap: xyz:https://HOST/{z}/{x}/{y}.png or GDAL's XML, with --bbox or --aoi."
)
MODEL_HELP = (
    "Name of a shipped model ('lcageo models list'), model folder, model card (.toml), or ONNX detector of another "
    "program (.onnx)."
)

# The groups of --help, in this order.
RESULT = "Result"
OBJECTS = "Objects"
MODEL = "Model"
AREA = "Area"
IMAGE = "Reading the scene"
SPEED = "Speed and memory"
FAILURE = "Interruption and failure"
DATA = "Data"
MESSAGES = "Messages"

LAYER = "FILE|URL"
LAYER_HELP = "Of a file with several layers, name one as QGIS does, in quotes: 'FILE|layername=NAME'."
ClassField = Annotated[
    str | None,
    typer.Option(
        "--class-field",
        metavar="NAME",
        help="Attribute that holds the class.",
        show_default="class, label, name, category, classname or class_name",
        rich_help_panel=OBJECTS,
    ),
]


def refuse_given(context: typer.Context, names: Collection[str], why: str) -> None:
    """Refuses options that would have no effect.

    Args:
        context: of the command.
        names: the options' parameters.
        why: what they are for, for the message.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{parameter.opts[0]} {why}; leave it out")


DATA_HELP = (
    "Data set: a COCO file or folder, YOLO (data.yaml or a folder), VOC XML, DOTA, CSV, DIOR, or the folder of chips."
)

Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="FOLDER",
        help="Folder of the images, if the data set has them elsewhere.",
        rich_help_panel=DATA,
    ),
]
Format = Annotated[
    FormatName | None,
    typer.Option(
        "--format",
        help="Format of the data sets.",
        show_default="recognised by their content",
        rich_help_panel=DATA,
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help=MODEL_HELP, show_default=DEFAULT_MODEL, rich_help_panel=MODEL),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Device: auto (a GPU if there is one), cpu, cuda, cuda:N or mps.",
        rich_help_panel=SPEED,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the result as JSON on standard output.", rich_help_panel=MESSAGES),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show only warnings and errors.", rich_help_panel=MESSAGES)]
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Show more: model, licence, stretch, timing.", rich_help_panel=MESSAGES),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback if an error occurs.", rich_help_panel=MESSAGES)
]
Progress = Annotated[
    console.ProgressFormat,
    typer.Option(
        "--progress",
        callback=console.show_progress_as,
        is_eager=True,  # also errors in other options are to be shown in its format
        help="Progress and messages on standard error: as bars and text, or as one JSON object per line for programs.",
        rich_help_panel=MESSAGES,
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        metavar="SIZE",
        help="Memory limit of the process, such as 2G; batch size and reading adapt to it.",
        rich_help_panel=SPEED,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS|local:N",
        help="Run on a Dask cluster, or on N processes on this machine.",
        rich_help_panel=SPEED,
    ),
]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="Start over instead of resuming an interrupted run.", rich_help_panel=FAILURE),
]
Append = Annotated[
    bool,
    typer.Option(
        "--append",
        help="Append to a .gpkg file or PostGIS table, in its CRS; continues its ids.",
        rich_help_panel=RESULT,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing output.", rich_help_panel=RESULT)]

ClassMap = Annotated[
    Path | None,
    typer.Option(
        metavar="TOML", help='Class names to merge: [classes] vehicle = ["car", "lorry"].', rich_help_panel=DATA
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Fail on broken records instead of skipping them.", rich_help_panel=DATA),
]

ModelClasses = Annotated[
    str,
    typer.Option(
        "--model-classes",
        metavar="NAME,...",
        help="Names of an ONNX detector's classes, in order.",
        show_default="from the model's metadata",
        rich_help_panel=MODEL,
    ),
]
ModelGsd = Annotated[
    str | None,
    typer.Option(
        "--model-gsd",
        metavar="M|MIN,MAX",
        help="Metres per pixel that an ONNX detector was trained for.",
        show_default="from the model's metadata, else the scene's",
        rich_help_panel=MODEL,
    ),
]
ModelLayout = Annotated[
    str | None,
    typer.Option(
        "--model-layout",
        metavar="NAME",
        help="Layout of an ONNX detector's outputs, as 'lcageo models info' shows it.",
        show_default="from the model's metadata",
        rich_help_panel=MODEL,
    ),
]
ModelTile = Annotated[
    int | None,
    typer.Option(
        "--model-tile",
        metavar="PX",
        min=64,
        help="Tile side of an ONNX detector that takes any size.",
        rich_help_panel=MODEL,
    ),
]


def split_names(text: str) -> tuple[str, ...]:
    """'ship, storage tank' -> ('ship', 'storage tank')."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_gsd(text: str) -> float | str:
    """'0.5' -> 0.5; 'auto' and 'native' unchanged.

    Raises:
        UsageError: for anything else.
    """
    if text in (AUTO_GSD, NATIVE_GSD):
        return text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--gsd '{text}' is neither a number of metres per pixel, nor auto, nor native") from None


def parse_bands(text: str) -> tuple[int, ...]:
    """'4,3,2' -> (4, 3, 2).

    Raises:
        UsageError: if it is not a list of band numbers.
    """
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"--bands '{text}' is not a list of band numbers such as 4,3,2") from None


def parse_pair(text: str | None, option: str) -> tuple[float, float] | None:
    """'0.6,1.6' -> (0.6, 1.6).

    Raises:
        UsageError: if it is not two numbers; the message names `option`.
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} '{text}' is not two numbers such as 0.6,1.6") from None
    return low, high


def parse_range(text: str, option: str) -> tuple[float, float]:
    """'0.6,1.6' -> (0.6, 1.6); '0.5' -> (0.5, 0.5).

    Raises:
        UsageError: if it is neither one nor two numbers; the message names `option`.
    """
    try:
        low, _, high = text.partition(",")
        return float(low), float(high or low)
    except ValueError:
        raise UsageError(f"{option} '{text}' is not a number such as 0.3, or two such as 0.2,0.4") from None


def parse_bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """'xmin,ymin,xmax,ymax' -> four floats.

    Raises:
        UsageError: if it is not four numbers.
    """
    if text is None:
        return None
    try:
        xmin, ymin, xmax, ymax = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bbox '{text}' is not four numbers xmin,ymin,xmax,ymax") from None
    return xmin, ymin, xmax, ymax


def parse_bytes(text: str | None, option: str) -> int | None:
    """'4G' -> 4,000,000,000; K, M, G and T are powers of 1,000.

    Raises:
        UsageError: if it is not a size; the message names `option`.
    """
    if text is None:
        return None
    number, unit = text.strip().upper().removesuffix("B"), 1
    if number and number[-1] in "KMGT":
        number, unit = number[:-1], 1000 ** ("KMGT".index(number[-1]) + 1)
    try:
        size = float(number) * unit
        if not 0 < size < 1e18:
            raise ValueError
    except ValueError:
        raise UsageError(f"{option} '{text}' is not a size such as 800M or 4G") from None
    return int(size)
