"""Statistics over finished runs: means and spreads over seeds, differences and their intervals, when one leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from parts import WHOLE
from runs import METRICS, Finished

from lcageo.metrics.bootstrap import Interval
from lcageo.metrics.match import IOU_75, IOUS
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


@dataclass(frozen=True, slots=True)
class Contrast:
    """A sum of systems, each with +1 or -1."""

    first: str
    """What is compared, for the reader; second: with what."""
    second: str
    terms: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, first: str, second: str) -> Contrast:
        """The first system minus the second."""
        return cls(first, second, ((1, first), (-1, second)))


ABLATIONS = (
    Contrast.of(str(Preset.LCA_H), str(Preset.LCA_BASELINE)),
    Contrast.of(str(Preset.LCA_SA), str(Preset.LCA_BASELINE)),
    Contrast.of(str(Preset.LCA_H), str(Preset.LCA_BASELINE_4X4)),
)
"""What the head, and the assignment, gives alone, and the head over the usual one of 4 + 4 convolutions; `lca` minus
the other half says what it gives to that."""
INTERACTION = Contrast(
    f"({Preset.LCA} - {Preset.LCA_H})",
    f"({Preset.LCA_SA} - {Preset.LCA_BASELINE})",
    ((1, str(Preset.LCA)), (-1, str(Preset.LCA_H)), (-1, str(Preset.LCA_SA)), (1, str(Preset.LCA_BASELINE))),
)
"""What both halves give together beyond the sum of what each gives alone: 0 if they add up."""
PART_METRICS: dict[str, Callable[[Floats], Floats]] = {
    "mAP50": lambda precisions: precisions[..., 0],
    "mAP75": lambda precisions: precisions[..., IOU_75],
    "mAP50_95": lambda precisions: precisions.mean(axis=-1),
}
"""The metrics, from (..., 10) average precisions at COCO's IoUs."""


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


def contrasts(names: Sequence[str]) -> list[Contrast]:
    """`lca` minus each other system, the gain of each of its halves alone, and their interaction, as far as named."""
    every = [Contrast.of(str(Preset.LCA), name) for name in names if name != Preset.LCA]
    every += [*ABLATIONS, INTERACTION]
    return [one for one in every if {name for _, name in one.terms} <= set(names)]


def difference(contrast: Contrast, rows: Mapping[str, Row]) -> dict[str, Any] | None:
    """A contrast of systems over the seeds that all of them have; None without a common seed.

    The intervals cover the choice of images and of seeds: see `with_seeds`.
    """
    signs, some = [sign for sign, _ in contrast.terms], [rows[name] for _, name in contrast.terms]
    seeds = sorted(set.intersection(*(set(row.seeds) for row in some)))
    if not seeds:
        return None
    runs = [[row.seeds[seed] for seed in seeds] for row in some]

    def combined(value: Callable[[Finished], Any]) -> Floats:
        """(seeds, ...) the signed sum of a value of the runs, seed by seed."""
        every = np.array([[value(run) for run in of_row] for of_row in runs], np.float64)
        return np.asarray(np.tensordot(np.array(signs, np.float64), every, axes=1), np.float64)

    def in_metric(metric: str) -> dict[str, Any]:
        by_seed = combined(lambda run: run.facts[metric])
        resampled = combined(lambda run: getattr(run.resampled, METRICS[metric]))
        return {
            "mean": float(by_seed.mean()),
            "interval": Interval.of(with_seeds(resampled)).as_json(),
            "by_seed": by_seed.tolist(),
        }

    def on_part(part: str) -> Floats:
        return combined(lambda run: run.parts[part].precisions)

    parts = {part: on_part(part) for part in runs[0][0].parts}
    found: dict[str, Any] = {"first": contrast.first, "second": contrast.second, "seeds": seeds}
    found |= {metric: in_metric(metric) for metric in METRICS}
    found["parts"] = {
        part: {metric: _in_part(of(values)) for metric, of in PART_METRICS.items()} for part, values in parts.items()
    }
    found["ious"] = {f"{iou:.2f}": _in_part(parts[WHOLE][..., index]) for index, iou in enumerate(IOUS)}
    return found


def _in_part(values: Floats) -> dict[str, Any]:
    """Mean and interval of (seeds, 1 + B) differences: on all images, then on resampled ones."""
    return {"mean": _known(float(values[:, 0].mean())), "interval": Interval.of(with_seeds(values[:, 1:])).as_json()}


def with_seeds(resampled: Floats) -> Floats:
    """(B,) means over seeds, drawn with replacement for each resample of the images: both chances in one bootstrap.

    With few seeds this underestimates their part of the variance, by a factor of (seeds - 1) / seeds.

    Args:
        resampled: (seeds, B) figures on the same resampled images; with a single seed, only images vary.
    """
    seeds, resamples = resampled.shape
    drawn = np.random.default_rng(1).integers(0, seeds, (resamples, seeds))
    means: Floats = resampled[drawn, np.arange(resamples)[:, None]].mean(axis=1)
    return means


def late_rise(row: Row) -> dict[str, float]:
    """Rise of the mean curves over about the last quarter of the run, and the step that it is measured from."""
    steps = row.runs[0].steps
    late = (len(steps) - 1) * 3 // 4
    means = {metric: row.curve(metric).mean(axis=0) for metric in METRICS}
    return {"from_step": steps[late], **{metric: float(mean[-1] - mean[late]) for metric, mean in means.items()}}


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """All results, JSON-ready: the systems, their contrasts, and the parts of the set."""
    by_name = {row.name: row for row in rows}
    differences = [difference(one, by_name) for one in contrasts(list(by_name))]
    return {
        "systems": {row.name: _system(row) for row in rows},
        "differences": [one for one in differences if one is not None],
        "parts": {
            name: {"objects": one.objects, "classes": one.classes} for name, one in rows[0].runs[0].parts.items()
        },
    }


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
        "late_rise": late_rise(row),
        "parts": {part: _on_part(row, part) for part in row.runs[0].parts},
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


def _on_part(row: Row, part: str) -> dict[str, float | None]:
    """Means over the seeds; None where no class has enough objects."""
    precisions = np.array([one.parts[part].precisions[0] for one in row.runs])
    return {metric: _known(float(of(precisions).mean())) for metric, of in PART_METRICS.items()}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
