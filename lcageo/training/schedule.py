"""The learning rate as a function of where the run stands, and of nothing else: a resumed run needs no history."""

from __future__ import annotations

import math

from lcageo.train_config import Schedule

WARMUP_SHARE = 0.1
"""A warm-up takes at most this share of the run."""
STEP_PLACES = (8 / 12, 11 / 12)
"""Source: the 1x schedule of Detectron, 12 epochs with steps after 8 and 11."""
STEP_FACTOR = 0.1
COSINE_END = 0.01
"""What is left of the learning rate at the end: the last steps should still do something."""


def learning_rate_factor(schedule: Schedule, warmup: int, step: int, progress: float) -> float:
    """What the greatest learning rate is multiplied by.

    Args:
        schedule: how it falls.
        warmup: steps in which it rises, evenly.
        step: steps done.
        progress: share of the run done, 0 to 1.
    """
    risen = 1.0 if warmup == 0 else max((step + 1) / warmup, progress / WARMUP_SHARE)
    if schedule is Schedule.STEP:
        fallen = STEP_FACTOR ** sum(progress >= place for place in STEP_PLACES)
    else:
        fallen = COSINE_END + (1 - COSINE_END) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return min(risen, 1.0) * fallen
