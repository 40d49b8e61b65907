"""lcageo info: describes a scene as the detector reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lcageo.cli import console, options
from lcageo.cli.detect_options import ONNX, Bands, Crs, with_options
from lcageo.config import DEFAULT_MODEL
from lcageo.errors import UsageError
from lcageo.network_config import OnnxConfig
from lcageo.plural import plural
from lcageo.remote import public


@with_options(ONNX)
def info(
    scene: Annotated[str, typer.Argument(help=options.SCENE_HELP)],
    model: options.Model = None,
    *,
    about: OnnxConfig,
    bands: Bands = "",
    crs: Crs = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Describes SCENE: size, CRS, resolution, bands, mask, proposed tiling, warnings.

    Examples:

    - `lcageo info scene.tif`
    - `lcageo info scene.tif --model lca-s-open --json`
    """
    from lcageo.inference.preview import describe_scene
    from lcageo.runtime.catalog import find_card, shipped_cards
    from lcageo.scene.basemap import is_basemap
    from lcageo.scene.raster import open_scene

    if is_basemap(scene):
        raise UsageError(
            f"'{public(scene)}' is a basemap, which shows the whole world; 'lcageo detect --dry-run' with --bbox or "
            "--aoi describes an area of it"
        )
    shipped = any(card.name == DEFAULT_MODEL for card in shipped_cards())
    card = find_card(model, about) if model is not None or shipped else None
    with open_scene(scene, options.parse_bands(bands), crs) as opened:
        described = describe_scene(opened, card)
    if as_json:
        console.json_data("info", described)
    else:
        console.data(_text(described))


def _text(described: dict[str, Any]) -> str:
    width, height = described["size"]
    used, sides, tiling = described["bands"], described["pixel_size_m"], described.get("tiling")
    (left, top), (right, bottom) = described["corners"]
    rows = {
        "scene": described["scene"],
        "format": f"{described['driver']}, {described['compression'] or 'no'} compression, "
        f"blocks {described['blocks'][1]} x {described['blocks'][0]}, {len(described['overviews'])} overviews",
        "size": f"{width:,} x {height:,} pixels ({width * height / 1e6:,.1f} megapixels)",
        "bands": f"{used['count']} of {used['dtype']}; used as red, green, blue: {used['used_as_rgb']}",
        "CRS": described["crs"] or "none",
        "georeference": described["georeference"],
        "corners": f"{left:.10g}, {top:.10g} to {right:.10g}, {bottom:.10g}",
        "resolution": "unknown" if sides is None else f"{_both(sides)} m per pixel on the ground",
        "mask": described["mask"]
        + (f", edge of value {described['untagged_edge']} without a nodata tag" if described["untagged_edge"] else ""),
        "with data": f"about {described['valid_share']:.0%}",
        "tiling": "use --model to see it"
        if tiling is None
        else f"{plural(tiling['tiles'], 'tile')} of {tiling['tile_size']} with {tiling['overlap']} pixels overlap, "
        f"{_both(tiling['scene_pixels_per_tile_pixel'])} scene pixels per tile pixel (model {tiling['model']})",
    }
    lines = [f"{name:12} {value}" for name, value in rows.items()]
    lines += [f"{'':12} {_further_pass(one)}" for one in (tiling or {}).get("further_passes", [])]
    lines += [f"{'missing':12} {name}" for name in described["missing_files"]]
    return "\n".join(lines + [f"warning: {line}" for line in described["warnings"]])


def _further_pass(one: dict[str, Any]) -> str:
    size = f"{plural(one['tiles'], 'tile')} of {one['tile_size']}"
    scale = f"{_both(one['scene_pixels_per_tile_pixel'])} scene pixels per tile pixel"
    if one["only_around_small_objects"]:
        return f"at most {size}, {scale}, around small objects that the tiles above find"
    return f"{size}, {scale}, for large objects"


def _both(sides: Sequence[float]) -> str:
    """Width and height; one number if they agree to four digits."""
    return " x ".join(dict.fromkeys(f"{side:.4g}" for side in sides))
