"""The options that decide what is found and what runs the model, the same for one scene and for a survey.

An option is a field of a configuration class and an entry here: commands that take the configuration get the option.
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
from lcageo.config import Backend, DetectConfig, EdgeNodata, MergeMetric, Precision, RunnerConfig

KEYWORD = inspect.Parameter.KEYWORD_ONLY

Batch = Annotated[
    int | None, typer.Option("--batch", min=1, help="Tiles run at a time. Default: by backend; 16 on a GPU.")
]
BackendChoice = Annotated[
    Backend,
    typer.Option("--backend", help="What runs the model. auto: torch on a GPU, else the fastest that is installed."),
]
PrecisionChoice = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="auto: int8 if the model is quantised, else bf16 if it is fast here and known to agree, else fp32.",
    ),
]
Score = Annotated[
    float | None,
    typer.Option("--score", help="Least score of an object, 0 to 1. Default: the model's own per class, else 0.3."),
]
Keep = Annotated[
    float | None,
    typer.Option("--keep", metavar="SCORE", help="Also write candidates down to this score, for 'lcageo filter'."),
]
Classes = Annotated[str, typer.Option("--classes", metavar="NAME,...", help="Classes to look for. Default: all.")]
MaxPerTile = Annotated[int, typer.Option("--max-per-tile", min=1, help="Best objects kept of one tile.")]
Overlap = Annotated[
    str | None,
    typer.Option("--overlap", metavar="PX|%", help="Overlap of tiles, as 200 or 25%. Default: from the model."),
]
Gsd = Annotated[
    str, typer.Option("--gsd", metavar="M|auto|native", help="Metres per pixel to resample to; auto: only if needed.")
]
Iou = Annotated[float, typer.Option("--iou", help="Overlap above which two boxes are one object.")]
Metric = Annotated[
    MergeMetric,
    typer.Option("--merge-metric", help="Overlap as intersection over union or over the smaller box."),
]
Agnostic = Annotated[bool, typer.Option("--agnostic", help="Merge boxes of different classes too.")]
Bands = Annotated[str, typer.Option("--bands", metavar="R,G,B", help="Bands to use as red, green, blue, as 4,3,2.")]
Stretch = Annotated[
    str,
    typer.Option("--stretch", metavar="auto|none|MIN,MAX", help="Values shown as 0 to 255; auto leaves uint8 alone."),
]
Edge = Annotated[
    EdgeNodata, typer.Option("--edge-nodata", help="Whether an untagged black or white edge counts as nodata.")
]
Aoi = Annotated[Path | None, typer.Option("--aoi", metavar="FILE", help="Vector layer: look only inside.")]
Bbox = Annotated[str | None, typer.Option("--bbox", metavar="XMIN,YMIN,XMAX,YMAX", help="Rectangle: look only inside.")]
BboxCrs = Annotated[
    str | None,
    typer.Option("--bbox-crs", metavar="CRS", help="CRS of --bbox, as EPSG:4326. Default: the scene's."),
]


@dataclass(frozen=True, slots=True)
class OptionGroup:
    """Options that make one configuration."""

    config: type[DetectConfig] | type[RunnerConfig]
    """Has the defaults, and checks the values."""
    options: Mapping[str, Any]
    """By the configuration's fields: type and help, in the order of --help."""
    parsers: Mapping[str, Callable[[str], Any]]
    """Of the options that come as text: from the text to the field's value."""

    def parameters(self) -> list[inspect.Parameter]:
        """One parameter an option, for the signature of a command."""
        defaults = self.config()
        return [
            inspect.Parameter(
                name,
                KEYWORD,
                default=self._shown(name, getattr(defaults, name)),
                annotation=kind,
            )
            for name, kind in self.options.items()
        ]

    def _shown(self, name: str, default: Any) -> Any:
        if name not in self.parsers or default is None:
            return default
        return "" if default == () else str(default)

    def build(self, values: Mapping[str, Any]) -> DetectConfig | RunnerConfig:
        """The configuration that a command's parameters ask for.

        Raises:
            UsageError: if one of them cannot be understood or is not allowed.
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
        "iou": Iou,
        "merge_metric": Metric,
        "agnostic": Agnostic,
        "bands": Bands,
        "stretch": Stretch,
        "edge_nodata": Edge,
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


def with_options(*groups: OptionGroup) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of groups in place of its parameters that are their configurations."""

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
