"""lcageo bench: measures how fast each backend runs a model on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lcageo.cli import console, options
from lcageo.cli.detect_options import ONNX, with_options
from lcageo.config import Backend
from lcageo.errors import DeviceError
from lcageo.network_config import OnnxConfig

if TYPE_CHECKING:
    from lcageo.inference.bench import Measurement


@with_options(ONNX)
def bench(
    scene: Annotated[
        str | None,
        typer.Argument(help="Raster whose first tiles are read and run.", show_default="random noise, nothing is read"),
    ] = None,
    model: options.Model = None,
    *,
    about: OnnxConfig,
    device: options.Device = "auto",
    tiles: Annotated[
        int, typer.Option(min=1, help="Number of tiles that each backend runs.", rich_help_panel=options.SPEED)
    ] = 32,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of tiles per batch.",
            show_default="depends on the backend",
            rich_help_panel=options.SPEED,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measures how fast each backend runs a model: tiles per second, the network's share of the time, startup time.

    Each backend starts from scratch. The network's share is the time of the network alone for the same tiles; the rest
    of the 100 % is reading, selecting objects and waiting. Takes some seconds per backend, and minutes for `compiled`.

    Examples:

    - `lcageo bench`
    - `lcageo bench scene.tif --tiles 64`
    """
    from lcageo.inference.bench import candidates, measure_each
    from lcageo.runtime.catalog import find_card

    say = console.Console(quiet)
    measured = []
    card = find_card(model, about)
    say.restriction(card)
    for engine in candidates(device, card):
        say.note(f"{engine}: measuring{', compiling takes minutes' if engine.backend is Backend.COMPILED else ''}")
        (one,) = measure_each([engine], card, scene, tiles, batch)
        say.note(f"{one.engine}: {one.failure or f'{one.tiles_per_second:.2f} tiles/s'}")
        measured.append(one)
    if all(one.failure for one in measured):
        raise DeviceError(f"nothing could be measured: {measured[0].failure}")
    if as_json:
        console.json_data("bench", [asdict(one) for one in measured])
    else:
        console.data(_text(measured))


def _text(measured: list[Measurement]) -> str:
    ran = sorted((one for one in measured if not one.failure), key=lambda one: -one.tiles_per_second)
    rows = [("backend", "precision", "device", "tiles/s", "of the best", "in the network", "first tile s")]
    for one in ran:
        share = one.tiles_per_second / ran[0].tiles_per_second
        rows.append(
            (
                one.engine.backend,
                one.engine.precision,
                one.engine.device,
                f"{one.tiles_per_second:.2f}",
                f"{share:.0%}",
                f"{one.model_share:.0%}",
                f"{one.first_tile_s:.1f}",
            )
        )
    return console.table(rows)
