"""lcageo models: lists, describes and verifies models."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.cli.detect_options import ONNX, with_options
from lcageo.config import DEFAULT_MODEL
from lcageo.network_config import BACKBONES, NetworkConfig, OnnxConfig
from lcageo.plural import plural

if TYPE_CHECKING:
    from lcageo.runtime.catalog import ModelCard

LIST = ("model", "default", "classes", "m per pixel", "MB", "use of the weights", "mAP50 on validation images")
FIGURES = {"mAP50": "mAP50", "mAP75": "mAP75", "mAP50_95": "mAP50:95"}

models = typer.Typer(no_args_is_help=True, help="Lists, describes and verifies models.", rich_markup_mode="markdown")


@models.command("list")
def list_models(as_json: options.Json = False) -> None:
    """Lists the shipped models.

    Examples:

    - `lcageo models list`
    - `lcageo models list --json`
    """
    from lcageo.runtime.catalog import shipped_cards

    cards = sorted(shipped_cards(), key=lambda card: (card.name != DEFAULT_MODEL, card.name))
    if as_json:
        console.json_data("models-list", [_entries(card) for card in cards])
    elif not cards:
        console.data("no models are shipped with this version; use --model with a model folder")
    else:
        console.data(f"{console.table([LIST, *map(_list_row, cards)])}\n")
        console.data("\n".join(f"{card.name} finds: {', '.join(card.classes)}" for card in cards))


@models.command("info")
@with_options(ONNX)
def model_info(
    model: Annotated[str, typer.Argument(help=options.MODEL_HELP)],
    *,
    about: OnnxConfig,
    as_json: options.Json = False,
) -> None:
    """Describes one model: classes, resolution, licence, figures.

    Examples:

    - `lcageo models info lca-s`
    - `lcageo models info lca-s-open --json`
    """
    from lcageo.runtime.catalog import find_card

    card = find_card(model, about)
    if as_json:
        console.json_data("models-info", _entries(card))
    else:
        console.data(_text(card))


@models.command("verify")
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Models to verify.", show_default="all shipped models"),
    ] = None,
) -> None:
    """Verifies that weights match the checksums in their model cards (SHA-256), and graphs their own.

    Examples:

    - `lcageo models verify`
    - `lcageo models verify lca-s`
    """
    from lcageo.errors import ModelError
    from lcageo.runtime.catalog import find_card, shipped_cards
    from lcageo.runtime.onnx_structure import of_every_size, read_structure, structure_path

    cards = [find_card(name) for name in names] if names else shipped_cards()
    for card in cards:
        card.read_weights()
        for sized in () if card.is_graph or find_spec("onnx") is None else of_every_size(card):
            if (path := structure_path(sized)).is_file() and read_structure(sized) is None:
                raise ModelError(
                    f"'{path}' is damaged or the graph of another network; make it again with 'lcageo models graph'"
                )
        console.data(f"{card.name}: intact, SHA-256 {card.sha256}")
    if not cards:
        console.data("no models are shipped with this version; nothing to verify")


@models.command("graph")
def graph(
    model: Annotated[str, typer.Argument(help=options.MODEL_HELP)],
) -> None:
    """Writes a model's graph beside its weights, so that `detect` runs the model where PyTorch is not installed.

    Shipped models have theirs, one for each size of their tiles. The graph stays valid as long as the network is the
    same, whatever its weights are.

    Examples:

    - `lcageo models graph runs/own`
    """
    from lcageo.errors import DeviceError, UsageError
    from lcageo.extras import require
    from lcageo.runtime.catalog import find_card
    from lcageo.runtime.onnx_graph import EXPORTERS

    card = find_card(model)
    if card.is_graph:
        raise UsageError(f"model '{card.name}' is a graph already: {card.weights}; nothing was written")
    require("making a graph", "torch", *EXPORTERS, error=DeviceError)
    from lcageo.runtime.onnx_export import export_structure
    from lcageo.runtime.onnx_graph import write_whole
    from lcageo.runtime.onnx_structure import of_every_size, structure_path

    for sized in of_every_size(card):
        write_whole(export_structure(sized).SerializeToString(), structure_path(sized))
        console.data(str(structure_path(sized)))


def _list_row(card: ModelCard) -> tuple[str, ...]:
    size = card.weights.stat().st_size / 1e6 if card.weights.is_file() else float("nan")
    return (
        card.name,
        "yes" if card.name == DEFAULT_MODEL else "",
        str(len(card.classes)),
        f"{card.gsd_m[0]:g}-{card.gsd_m[1]:g}",
        f"{size:.1f}",
        card.restriction or "see its licence",
        _validation_text(card),
    )


def _validation_text(card: ModelCard) -> str:
    """The mean over the sets of real validation images, which training did not use."""
    measured = _measured_on(card).values()
    figures = [found["mAP50"] for found in measured if "mAP50" in found and not found.get("is_rendered", False)]
    if not figures:
        return "not measured"
    return f"{sum(figures) / len(figures):.3f} ({plural(len(figures), 'set')})"


def _entries(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "default": card.name == DEFAULT_MODEL,
        "preset": None if card.network is None else str(card.network.preset),
        "backbone": None if card.network is None else card.network.backbone,
        "layout": card.layout,
        "classes": list(card.classes),
        "tile_size": card.tile_size,
        "larger_tile_size": card.larger_tile_size,
        "gsd_m": list(card.gsd_m) if card.has_gsd else None,
        "largest_object_px": card.largest_object_px,
        "lengths_px": None if card.lengths_px is None else list(card.lengths_px),
        "thresholds": dict(card.thresholds),
        "size_m": {name: list(lengths) for name, lengths in card.size_m.items()},
        "trained_on": card.trained_on or "nothing: untrained",
        "licence": card.licence,
        "restriction": card.restriction or None,
        "metrics": dict(card.metrics),
        "calibrated": sorted(card.calibration),
        "weights": str(card.weights),
        "sha256": card.sha256,
    }


def _text(card: ModelCard) -> str:
    """A card as text: a line per entry, then a table of the classes."""
    lines = {
        "model": f"{card.name}{' (the default)' if card.name == DEFAULT_MODEL else ''}",
        "classes": ", ".join(card.classes),
        "resolution": f"{card.gsd_text} m per pixel" if card.has_gsd else "not known (--model-gsd)",
        "use of the weights": card.restriction or "see its licence",
        "mAP50 on validation images": _validation_text(card),
        "network": f"ONNX graph of another program, outputs of layout {card.layout}"
        if card.network is None
        else f"{card.network.preset}, {_backbone(card.network)}",
        "tile": f"{card.tile_size:,} pixels"
        + ("" if card.larger_tile_size is None else f"; {card.larger_tile_size:,} in large scenes"),
        "largest object": "not known" if card.largest_object_px is None else f"{card.largest_object_px} pixels",
        "in one pass": "not known"
        if card.lengths_px is None
        else "objects of {:g} to {:g} pixels".format(*card.lengths_px),
        "trained on": card.trained_on or "nothing: untrained",
        "licence": card.licence,
        "weights": str(card.weights),
        "SHA-256": card.sha256,
    }
    sets = _measured_on(card)
    for name, found in sets.items():
        figures = (f"{label} {found[key]:.3f}" for key, label in FIGURES.items() if key in found)
        kind = "rendered image" if found.get("is_rendered", False) else "image"
        lines[f"on {name}"] = f"{', '.join(figures)} ({plural(found['images'], kind)})"
    width = max(map(len, lines))
    text = "\n".join(f"{name.ljust(width)}  {value}" for name, value in lines.items())
    sets = {name: found for name, found in sets.items() if "per_class_AP50" in found}
    return f"{text}\n\n{console.table([_header(sets), *(_class_row(card, name, sets) for name in card.classes)])}"


def _backbone(network: NetworkConfig) -> str:
    """The backbone's name and, where the family has several, its width."""
    has_widths = BACKBONES[network.backbone].widths is not None
    return f"{network.backbone} of width {network.backbone_width}" if has_widths else network.backbone


def _measured_on(card: ModelCard) -> dict[str, dict[str, Any]]:
    """Metrics by the name of the data: several sets for a shipped model, the validation data for one from `train`."""
    if "images" in card.metrics:
        return {"validation data": card.metrics}
    return {name: found for name, found in card.metrics.items() if isinstance(found, dict) and "images" in found}


def _header(sets: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return ("class", "min score", "metres", *(f"AP50 {name}" for name in sets))


def _class_row(card: ModelCard, name: str, sets: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    lengths = f"{card.size_m[name][0]:g}-{card.size_m[name][1]:g}" if name in card.size_m else "any"
    figures = [found["per_class_AP50"].get(name) for found in sets.values()]
    cells = ("-" if figure is None else f"{figure:.3f}" for figure in figures)
    return name, f"{card.threshold(name):.2f}", lengths, *cells
