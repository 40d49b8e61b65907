"""What a model's weights may be used for, said once on each machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.onnx_graph import cache_folder


def restriction_notice(card: ModelCard, always: bool = False) -> str:
    """The line to show a user before a restricted model runs, or an empty one if there is nothing to say.

    It is due the first time that a model of this name and licence is used on this machine, and each time where the
    user's cache folder cannot remember it.

    Args:
        card: the model.
        always: give the line of a restricted model every time.
    """
    if not card.restriction:
        return ""
    is_first = _remember(card)
    if not (is_first or always):
        return ""
    return f"model '{card.name}' is for {card.restriction}; licence of the weights: {card.licence}"


def _remember(card: ModelCard) -> bool:
    """Whether this is the first use; from now on it is not."""
    try:
        path = _marker(card)
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except (OSError, ImportError):  # a cache that cannot be read or written, or a machine without platformdirs
        pass
    return True


def _marker(card: ModelCard) -> Path:
    """The file that is there once the line was shown; another licence has another file."""
    key = hashlib.sha256(json.dumps([card.name, card.restriction, card.licence]).encode()).hexdigest()[:16]
    return cache_folder() / f"licence-{key}.shown"
