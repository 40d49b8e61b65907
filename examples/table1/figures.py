"""Statistics over finished runs: means and spreads over seeds, differences and their intervals, when one leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from runs import METRICS, Finished

from lcageo.metrics.bootstrap import Interval
from lcageo.metrics.truth import Floats
from lcageo.network_config import Preset

PAPER: dict[str, tuple[float, float, float]] = {
    Preset.RETINANET: (67.2, 48.8, 45.3),
    Preset.FCOS: (66.0, 42.6, 41.3),
    Preset.LCA_BASELINE: (68.1, 47.0, 44.4),
    Preset.LCA_H: (70.7, 52.0, 48.1),
    Preset.LCA_SA: (69.8, 48.3, 45.7),
    Preset.LCA: (72.0, 52.9, 49.3),
}
"""mAP50, mAP75 and mAP50:95 on DIOR, per cent, from Table I of the LCA-Det paper."""
CLASS_METRICS = ("AP50", "AP75", "AP50_95")
"""Metrics reported for each class."""
ABLATIONS = tuple((str(half), str(Preset.LCA_BASELINE)) for half in (Preset.LCA_H, Preset.LCA_SA))
"""Pairs of a system with a single change and the system that it changes."""


@dataclass(frozen=True, slots=True)
class Row:
    """The finished runs of one system, in the order of their seeds."""

    name: str
    preset: Preset
    runs: tuple[Finished, ...]

    @property
    def seeds(self) -> dict[int, Finished]:
        """The runs by their seeds."""
        return {one.run.seed: one for one in self.runs}

    def values(self, fact: str) -> Floats:
        """(seeds,) values of one of the runs' facts."""
        return np.array([one.facts[fact] for one in self.runs], np.float64)

    def curve(self, metric: str) -> Floats:
        """(seeds, validations) values of a metric."""
        return np.array([one.curves[metric] for one in self.runs])


def rows_of(finished: Sequence[Finished]) -> list[Row]:
    """A row for each system with a finished run, in the order of the systems' first runs."""
    systems = {one.run.system.name: one.run.system.preset for one in finished}
    return [
        Row(name, preset, tuple(one for one in finished if one.run.system.name == name))
        for name, preset in systems.items()
    ]


def spread(values: Floats) -> float | None:
    """Sample standard deviation over the seeds; None for a single seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def difference(ours: Row, theirs: Row) -> dict[str, Any] | None:
    """Difference between two systems over the seeds that both have; None without a common seed.

    The interval covers the choice of images: resampled images are the same for both systems and all seeds, and each
    resample's difference is the mean over the seeds. The differences by seed show the effect of the seed.
    """
    seeds = sorted(ours.seeds.keys() & theirs.seeds.keys())
    pairs = [(ours.seeds[seed], theirs.seeds[seed]) for seed in seeds]
    if not pairs:
        return None
    found: dict[str, Any] = {"seeds": seeds}
    for metric, name in METRICS.items():
        by_seed = [one.facts[metric] - other.facts[metric] for one, other in pairs]
        resampled = [getattr(one.resampled, name) - getattr(other.resampled, name) for one, other in pairs]
        curves = np.mean([(one.curves[metric], other.curves[metric]) for one, other in pairs], axis=0)  # (2, V)
        found[metric] = {
            "mean": float(np.mean(by_seed)),
            "interval": Interval.of(np.mean(resampled, axis=0)).as_json(),
            "by_seed": by_seed,
            "ahead_from_step": ahead_from(pairs[0][0].steps, *curves),
        }
    return found


def ahead_from(steps: Sequence[int], ours: Floats, theirs: Floats) -> int | None:
    """The step of the first validation from which one curve stays above another; None if it ends below.

    Args:
        steps: (V,) steps of the validations.
        ours: (V,) the curve that may be ahead.
        theirs: (V,) the other curve.
    """
    not_ahead = np.flatnonzero(ours <= theirs)
    first = int(not_ahead[-1]) + 1 if len(not_ahead) else 0
    return steps[first] if first < len(steps) else None


def last_quarter(row: Row, metric: str) -> float:
    """Rise of the mean curve in the last quarter of the run, near 0 where it has flattened."""
    mean = row.curve(metric).mean(axis=0)
    return float(mean[-1] - mean[(len(mean) - 1) * 3 // 4])


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """All results, JSON-ready: the systems, `lca` minus each other one, and the gain of each of its halves alone."""
    by_name = {row.name: row for row in rows}
    pairs = [(str(Preset.LCA), name) for name in by_name if name != Preset.LCA] + list(ABLATIONS)
    found = []
    for first, second in pairs:
        if first in by_name and second in by_name:
            one = difference(by_name[first], by_name[second])
            found += [] if one is None else [{"first": first, "second": second, **one}]
    return {"systems": {row.name: _system(row) for row in rows}, "differences": found}


def _system(row: Row) -> dict[str, Any]:
    facts = row.runs[0].facts
    return {
        "preset": str(row.preset),
        "seeds": list(row.seeds),
        **{
            metric: {"mean": float(values.mean()), "spread": spread(values), "by_seed": values.tolist()}
            for metric in METRICS
            for values in [row.values(metric)]
        },
        "params": facts["params"],
        "paper_flops": facts["paper_flops"],
        "true_macs": facts["true_macs"],
        "train_seconds": float(row.values("train_seconds").mean()),
        "last_quarter": {metric: last_quarter(row, metric) for metric in METRICS},
        "per_class": _per_class([one.facts["per_class"] for one in row.runs]),
        "agreement": {str(seed): one.facts["agreement"] for seed, one in row.seeds.items()},
        "curves": {"steps": list(row.runs[0].steps), **{metric: row.curve(metric).tolist() for metric in METRICS}},
    }


def _per_class(seeds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Number of objects and means over the seeds of each class that the images contain."""
    return {
        name: {
            "objects": first["objects"],
            **{ap: float(np.mean([one[name][ap] for one in seeds])) for ap in CLASS_METRICS},
        }
        for name, first in seeds[0].items()
        if first["objects"]
    }
