"""lcageo models: what is shipped, what a model is, and whether its file is whole."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.runtime.catalog import ModelCard, find_card, shipped_cards

models = typer.Typer(no_args_is_help=True, help="Lists, describes and checks models.", rich_markup_mode=None)


@models.command("list")
def list_models(as_json: options.Json = False) -> None:
    """Lists the shipped models."""
    cards = shipped_cards()
    if as_json:
        console.data(json.dumps([_entries(card) for card in cards], indent=1))
    elif not cards:
        console.data("no models are shipped with this version; name a model folder with --model")
    else:
        rows = [("model", "preset", "classes", "tile", "GSD m", "MB")]
        for card in cards:
            size = card.weights.stat().st_size / 1e6 if card.weights.is_file() else float("nan")
            gsd = f"{card.gsd_m[0]:g}-{card.gsd_m[1]:g}"
            rows.append(
                (card.name, card.network.preset, str(len(card.classes)), str(card.tile_size), gsd, f"{size:.1f}")
            )
        console.data(console.table(rows))


@models.command("info")
def model_info(
    model: Annotated[str, typer.Argument(help="Name, card, or folder.")], as_json: options.Json = False
) -> None:
    """Describes one model: classes, resolution, licence, figures."""
    card = find_card(model)
    entries = _entries(card)
    if as_json:
        console.data(json.dumps(entries, indent=1))
    else:
        console.data("\n".join(f"{name:18} {value}" for name, value in entries.items()))


@models.command("verify")
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="All shipped models if none.")] = None,
) -> None:
    """Checks that weights are the ones their cards describe (SHA-256)."""
    cards = [find_card(name) for name in names] if names else shipped_cards()
    for card in cards:
        card.read_weights()
        console.data(f"{card.name}: whole, SHA-256 {card.sha256}")
    if not cards:
        console.data("no models are shipped with this version; nothing to verify")


def _entries(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "preset": str(card.network.preset),
        "backbone": card.network.backbone,
        "classes": list(card.classes),
        "tile_size": card.tile_size,
        "gsd_m": list(card.gsd_m),
        "largest_object_px": card.largest_object_px,
        "thresholds": dict(card.thresholds),
        "trained_on": card.trained_on or "nothing: untrained",
        "licence": card.licence,
        "metrics": dict(card.metrics),
        "weights": str(card.weights),
        "sha256": card.sha256,
    }
