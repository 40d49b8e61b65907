"""Options of detection and of the model's backend, shared by the commands that run a model.

An option is a field of a configuration class and an entry here: commands that take the configuration have the option.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from lcageo.cli import options
from lcageo.config import Backend, DetectConfig, EdgeNodata, MergeMetric, Passes, Precision, RunnerConfig
from lcageo.network_config import OnnxConfig

KEYWORD = inspect.Parameter.KEYWORD_ONLY

Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        min=1,
        help="Number of tiles per batch.",
        show_default="16 on a GPU, otherwise it depends on the backend",
        rich_help_panel=options.SPEED,
    ),
]
BackendChoice = Annotated[
    Backend,
    typer.Option(
        "--backend",
        help="Software that runs the model; auto: PyTorch on a GPU, otherwise the fastest one installed.",
        rich_help_panel=options.SPEED,
    ),
]
PrecisionChoice = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="Number format; auto: int8 for a quantised model, bf16 if fast and verified for the model, else fp32.",
        rich_help_panel=options.SPEED,
    ),
]
Score = Annotated[
    float | None,
    typer.Option(
        "--score",
        help="Minimum score of an object, 0 to 1.",
        show_default=f"the model's own threshold for each class, else {DetectConfig.DEFAULT_SCORE:g}",
        rich_help_panel=options.OBJECTS,
    ),
]
Keep = Annotated[
    float | None,
    typer.Option(
        "--keep",
        metavar="SCORE",
        help="Also write candidates that score at least this (below --score), for 'lcageo filter'.",
        show_default="no candidates",
        rich_help_panel=options.OBJECTS,
    ),
]
Classes = Annotated[
    str,
    typer.Option(
        "--classes",
        metavar="NAME,...",
        help="Classes to detect.",
        show_default="all",
        rich_help_panel=options.OBJECTS,
    ),
]
MaxPerTile = Annotated[
    int,
    typer.Option("--max-per-tile", min=1, help="Maximum number of objects per tile.", rich_help_panel=options.OBJECTS),
]
Overlap = Annotated[
    str | None,
    typer.Option(
        "--overlap",
        metavar="PX|%",
        help="Overlap of neighbouring tiles, such as 200 or 25%.",
        show_default="from the model",
        rich_help_panel=options.IMAGE,
    ),
]
Gsd = Annotated[
    str,
    typer.Option(
        "--gsd",
        metavar="M|auto|native",
        help="Metres per pixel to resample to; auto: only outside the model's range; native: never.",
        rich_help_panel=options.IMAGE,
    ),
]
PassesChoice = Annotated[
    Passes,
    typer.Option(
        "--passes",
        help="Passes over the scene at different resolutions: 2 adds one at half of the resolution, for large objects "
        "(a quarter more time); 3 adds another at twice the resolution, for small ones (five times as long). auto: 3 "
        "if the model is made for it, the last one only around small objects that the first one finds.",
        rich_help_panel=options.IMAGE,
    ),
]
Iou = Annotated[
    float | None,
    typer.Option(
        "--iou",
        help="Overlap above which two boxes are merged into one object.",
        show_default=f"the model's, else {DetectConfig.DEFAULT_IOU:g}",
        rich_help_panel=options.OBJECTS,
    ),
]
Metric = Annotated[
    MergeMetric,
    typer.Option(
        "--merge-metric",
        help="Measure of overlap: intersection over union (iou) or over the smaller box (ios).",
        rich_help_panel=options.OBJECTS,
    ),
]
Agnostic = Annotated[
    bool,
    typer.Option("--agnostic", help="Also merge boxes of different classes.", rich_help_panel=options.OBJECTS),
]
Bands = Annotated[
    str,
    typer.Option(
        "--bands",
        metavar="R,G,B",
        help="Bands to use as red, green, blue, such as 4,3,2.",
        show_default="by their descriptions, else the first three",
        rich_help_panel=options.IMAGE,
    ),
]
Stretch = Annotated[
    str,
    typer.Option(
        "--stretch",
        metavar="auto|none|MIN,MAX",
        help="Range of values stretched to 0-255; auto: percentiles, uint8 unchanged.",
        rich_help_panel=options.IMAGE,
    ),
]
Edge = Annotated[
    EdgeNodata,
    typer.Option(
        "--edge-nodata",
        help="auto: treat a border of a single value, such as black, as nodata even if no tag says so; none: do not.",
        rich_help_panel=options.IMAGE,
    ),
]
Aoi = Annotated[
    Path | None,
    typer.Option(
        "--aoi",
        metavar=options.LAYER,
        help="Polygon layer, in any CRS; detect only inside it.",
        show_default="the whole scene",
        rich_help_panel=options.AREA,
    ),
]
Crs = Annotated[
    str | None,
    typer.Option(
        "--crs",
        metavar="CRS",
        help="CRS of a scene that has none, such as EPSG:32633: of a JPEG, PNG or TIFF with a world file.",
        rich_help_panel=options.IMAGE,
    ),
]
Bbox = Annotated[
    str | None,
    typer.Option(
        "--bbox",
        "--bounds",
        metavar="XMIN,YMIN,XMAX,YMAX",
        help="Rectangle; detect only inside it.",
        rich_help_panel=options.AREA,
    ),
]
BboxCrs = Annotated[
    str | None,
    typer.Option(
        "--bbox-crs",
        metavar="CRS",
        help="CRS of --bbox, such as EPSG:4326.",
        show_default="the scene's",
        rich_help_panel=options.AREA,
    ),
]


@dataclass(frozen=True, slots=True)
class OptionGroup:
    """The options that fill one configuration class."""

    config: type[DetectConfig] | type[RunnerConfig] | type[OnnxConfig]
    """The class that has the defaults and checks the values."""
    options: Mapping[str, Any]
    """Type and help of each option by the configuration's field, in the order of --help."""
    parsers: Mapping[str, Callable[[str], Any]]
    """Functions that parse the options given as text into the field's value."""

    def parameters(self) -> list[inspect.Parameter]:
        """One parameter per option, for the signature of a command."""
        defaults = self.config()
        return [
            inspect.Parameter(
                name,
                KEYWORD,
                default=self._default_text(name, getattr(defaults, name)),
                annotation=kind,
            )
            for name, kind in self.options.items()
        ]

    def _default_text(self, name: str, default: Any) -> Any:
        if name not in self.parsers or default is None:
            return default
        return "" if default == () else str(default)

    def build(self, values: Mapping[str, Any]) -> DetectConfig | RunnerConfig | OnnxConfig:
        """The configuration with the values of a command's parameters.

        Raises:
            UsageError: if a value cannot be parsed or is not allowed.
        """
        given = {name: values[name] for name in self.options}
        parsed = {name: parse(given[name]) for name, parse in self.parsers.items() if given[name] is not None}
        return self.config(**{**given, **parsed})


DETECT = OptionGroup(
    DetectConfig,
    {
        "score": Score,
        "keep": Keep,
        "classes": Classes,
        "max_per_tile": MaxPerTile,
        "overlap": Overlap,
        "gsd": Gsd,
        "passes": PassesChoice,
        "iou": Iou,
        "merge_metric": Metric,
        "agnostic": Agnostic,
        "bands": Bands,
        "stretch": Stretch,
        "edge_nodata": Edge,
        "crs": Crs,
        "aoi": Aoi,
        "bbox": Bbox,
        "bbox_crs": BboxCrs,
    },
    {
        "classes": options.split_names,
        "gsd": options.parse_gsd,
        "bands": options.parse_bands,
        "bbox": options.parse_bbox,
    },
)
RUNNER = OptionGroup(
    RunnerConfig,
    {
        "model": options.Model,
        "device": options.Device,
        "backend": BackendChoice,
        "precision": PrecisionChoice,
        "batch": Batch,
        "max_memory": options.MaxMemory,
        "cluster": options.Cluster,
    },
    {"max_memory": lambda text: options.parse_bytes(text, "--max-memory")},
)

ONNX = OptionGroup(
    OnnxConfig,
    {
        "model_classes": options.ModelClasses,
        "model_gsd": options.ModelGsd,
        "model_layout": options.ModelLayout,
        "model_tile": options.ModelTile,
    },
    {"model_classes": options.split_names, "model_gsd": lambda text: options.parse_range(text, "--model-gsd")},
)


def with_options(*groups: OptionGroup) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command: replaces each parameter that is a configuration with the options of its group."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        taken: dict[str, OptionGroup] = {}
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            group = next((group for group in groups if group.config is hints[parameter.name]), None)
            if group is None:
                parameters.append(parameter.replace(kind=KEYWORD, annotation=hints[parameter.name]))
            else:
                taken[parameter.name] = group
                parameters += group.parameters()

        @wraps(command)
        def run(**values: Any) -> None:
            configs = {name: group.build(values) for name, group in taken.items()}
            own = {name: value for name, value in values.items() if not any(name in group.options for group in groups)}
            command(**own, **configs)

        run.__dict__["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate
