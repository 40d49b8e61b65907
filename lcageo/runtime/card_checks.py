"""What the entries of a model card must be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lcageo.config import Precision
from lcageo.errors import ConfigError

if TYPE_CHECKING:
    from lcageo.runtime.catalog import ModelCard


def refuse_invalid(card: ModelCard) -> None:
    """Checks a card: types first, then values.

    Raises:
        ConfigError: if an entry is not allowed; it says what is expected.
    """
    checks = {
        "either network or layout": (card.network is None) != (card.layout is None),
        "classes (one name each, as many as network.num_classes)": len(set(card.classes))
        == len(card.classes)
        == (max(1, len(card.classes)) if card.network is None else card.network.num_classes),
        "name, licence, restriction and trained_on (text)": all(
            isinstance(text, str) for text in (card.name, card.licence, card.restriction, card.trained_on, card.sha256)
        ),
        "thresholds, calibration, size_m, metrics and recipe (tables)": all(
            isinstance(table, dict)
            for table in (card.thresholds, card.calibration, card.size_m, card.metrics, card.recipe)
        ),
        "tile_size, larger_tile_size and largest_object_px (whole numbers)": isinstance(card.tile_size, int)
        and isinstance(card.larger_tile_size, int | None)
        and isinstance(card.largest_object_px, int | None),
        "metrics (strings, numbers, and lists and tables of them; figures are numbers)": _is_plain(card.metrics)
        and all(map(_holds_figures, [card.metrics, *card.metrics.values()])),
        "recipe (strings, numbers, and lists and tables of them)": _is_plain(card.recipe),
    }
    _refuse_unless(card, checks)
    checks = {
        "tile_size (64 to 4096, a multiple of 32)": 64 <= card.tile_size <= 4096
        and (card.tile_size % 32 == 0 or card.network is None),
        "larger_tile_size (tile_size to 4096, a multiple of 32, for a network)": card.larger_tile_size is None
        or (card.tile_size <= card.larger_tile_size <= 4096 and card.larger_tile_size % 32 == 0 and not card.is_graph),
        "gsd_m (two values in metres per pixel, ascending)": 0 < card.gsd_m[0] <= card.gsd_m[1] < math.inf,
        "mean (0 to 255)": all(0 <= value <= 255 for value in card.mean),
        "std (positive)": all(0 < value < math.inf for value in card.std),
        "restriction (one line)": card.restriction.isprintable(),
        "sha256 (64 hexadecimal digits)": len(card.sha256) == 64 and set(card.sha256) <= set("0123456789abcdef"),
        "thresholds (0 to 1, for its classes)": set(card.thresholds) <= set(card.classes)
        and all(0 <= value <= 1 for value in card.thresholds.values()),
        "calibration (for its classes)": set(card.calibration) <= set(card.classes),
        "size_m (two lengths in metres, ascending, for its classes)": set(card.size_m) <= set(card.classes)
        and all(0 <= low < high < math.inf for low, high in card.size_m.values()),
        "precisions (bf16, fp16)": set(card.precisions) <= {Precision.BF16, Precision.FP16},
        "lengths_px (two lengths in pixels, ascending)": card.lengths_px is None
        or 0 < card.lengths_px[0] < card.lengths_px[1] < math.inf,
        "largest_object_px (positive)": card.largest_object_px is None or card.largest_object_px > 0,
        "iou (0 to 1)": card.iou is None or 0 <= card.iou <= 1,
    }
    _refuse_unless(card, checks)


def _refuse_unless(card: ModelCard, checks: dict[str, bool]) -> None:
    for what, holds in checks.items():
        if not holds:
            raise ConfigError(f"the card of model '{card.name}' has an invalid entry; expected {what}")


def _is_plain(value: Any) -> bool:
    """Whether JSON can represent it: TOML also has dates."""
    if isinstance(value, dict | list | tuple):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str | int | float)


def _holds_figures(found: Any) -> bool:
    """Whether the figures of a data set, if `found` has any, are as the code that shows them assumes."""
    if not isinstance(found, dict):
        return True
    per_class = found.get("per_class_AP50", {})
    figures = [found.get(name, 0) for name in ("images", "mAP50", "mAP75", "mAP50_95")]
    are_numbers = isinstance(per_class, dict) and all(isinstance(one, int | float) for one in figures)
    are_numbers = are_numbers and all(isinstance(one, int | float) for one in per_class.values())
    return are_numbers and isinstance(found.get("is_rendered", False), bool)
