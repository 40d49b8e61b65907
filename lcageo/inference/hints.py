"""Why few objects may have been found, and which option finds more."""

from __future__ import annotations

import math

import numpy as np

from lcageo.config import DetectConfig
from lcageo.detections import Detections
from lcageo.inference.plan import NATIVE_TOLERANCE, SERVED_PX, ScenePlan
from lcageo.inference.scene import merged
from lcageo.journal.journal import Journal
from lcageo.plural import plural, rounded
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.selection import hint_scores
from lcageo.scene.georef import pixel_size_m
from lcageo.vector.columns import layer_scores
from lcageo.vector.record import TileCounts

FEW = 5
"""Number of objects below which reasons are looked for."""
STEPS = (0.05, 0.01, 0.001)
"""Scores to try are multiples of the first of these that gives one below the thresholds."""
SHARE = 0.05
"""Share of a scene from which it is told that it was not searched, or not as the model requires."""
PLACES = 9
"""Places along each side of a scene where its resolution is measured."""


def hints(
    plan: ScenePlan, config: DetectConfig, card: ModelCard, journal: Journal, found: int, tiles: TileCounts
) -> tuple[str, ...]:
    """Sentences for the user of a scene in which few objects were found; none for other scenes.

    Args:
        plan: of the scene.
        config: the settings.
        card: the model's card.
        journal: with all tiles.
        found: number of objects found.
        tiles: number of tiles that were run, skipped and so on.
    """
    if found >= FEW:
        return ()
    lines = (_of_scores(plan, config, card, journal, found), *_of_range(plan, card), *_of_tiles(tiles))
    return (*filter(None, lines), *_of_resolution(plan, config, card))


def _of_scores(plan: ScenePlan, config: DetectConfig, card: ModelCard, journal: Journal, found: int) -> str:
    """How many objects a lower score would give: as many as a run with it, whose tiles would be the same."""
    collected = hint_scores(card, config)
    if not collected or config.keep is not None:
        return ""  # less certain ones are not known, or the layer has them already
    least, wanted = card.least_scores(config.score), list(card.class_ids(config.classes))
    thresholds = np.array([least[name] for name in card.classes])
    lowest = max(collected[one] for one in wanted)
    rounded = (round(math.ceil(lowest / step - 1e-9) * step, 3) for step in STEPS)
    score = next((one for one in rounded if one < max(thresholds[wanted])), None)
    if score is None:
        return ""
    minimum = np.full(len(card.classes), 2.0, np.float32)
    minimum[wanted] = score
    some = Detections.joined(list(merged(plan, config, journal, minimum)))
    between = int((layer_scores(some.scores) < thresholds[some.labels]).sum())
    above = f"{plural(found, 'object') if found else 'no object'} above the score thresholds"
    if not between:
        return f"{above}, and none just below them"
    return f"{above}; --score {score:g} finds {between:,} more"


def _of_range(plan: ScenePlan, card: ModelCard) -> list[str]:
    """What part of the scene has a resolution that the model is not made for; in degrees, it changes with latitude."""
    info, scale, (finest, coarsest) = plan.reader.scene.info, plan.grid.scale, card.gsd_m
    parts = (np.arange(PLACES) + 0.5) / PLACES
    sizes = [pixel_size_m(info.georeference, info.width, info.height, (x, y)) for y in parts for x in parts]
    sides = [math.sqrt(size[0] * scale[0] * size[1] * scale[1]) for size in sizes if size is not None]
    lowest, highest = finest * (1 - NATIVE_TOLERANCE), coarsest * (1 + NATIVE_TOLERANCE)
    outside = [side for side in sides if not lowest <= side <= highest]
    if not sides or len(outside) < SHARE * len(sides):
        return []
    farthest = max(outside, key=lambda side: max(side / coarsest, finest / side))
    ends = f"up to {rounded(farthest)}" if farthest > coarsest else f"down to {rounded(farthest)}"
    return [
        f"{len(outside) / len(sides):.0%} of the scene is outside the model's range of {finest:g} to {coarsest:g} m "
        f"per pixel, with {ends} m there"
    ]


def _of_tiles(tiles: TileCounts) -> list[str]:
    """What part of the scene was not searched at all."""
    skipped = {
        "without data": tiles.without_data,
        "outside the area of interest": tiles.outside_area_of_interest,
        "unreadable": tiles.unreadable,
    }
    reasons = [f"{count / tiles.planned:.0%} {why}" for why, count in skipped.items() if count > SHARE * tiles.planned]
    return [f"not searched, of the tiles: {', '.join(reasons)}"] if reasons else []


def _of_resolution(plan: ScenePlan, config: DetectConfig, card: ModelCard) -> list[str]:
    """Classes whose usual objects are shorter in the scene than the model finds well."""
    gsd_m, shortest_px = plan.reader.scene.info.gsd_m, (card.lengths_px or SERVED_PX)[0]
    if gsd_m is None:
        return []
    names = (card.classes[one] for one in card.class_ids(config.classes))
    best = {name: math.sqrt(math.prod(card.size_m[name])) / shortest_px for name in names if name in card.size_m}
    rough = {name: float(f"{metres:.1g}") for name, metres in best.items() if gsd_m > metres}  # 10, not 1e+01
    coarse = [f"{name} ({metres:g} m or finer is better)" for name, metres in rough.items()]
    return [f"a resolution of {rounded(gsd_m, 2)} m per pixel is coarse for {', '.join(coarse)}"] if coarse else []
