"""The results of all scenes of a survey, as a table and as JSON."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lcageo.errors import OutputError
from lcageo.survey.state import Joined, SceneRecord
from lcageo.vector.publish import Publication
from lcageo.vector.record import RunRecord, TileCounts

SUMMARY = "summary.json"
SUMMARIES = (SUMMARY, "summary.csv")
TILES = tuple(entry.name for entry in fields(TileCounts))


def write_summary(
    records: Sequence[SceneRecord],
    classes: Sequence[str],
    joined: Joined,
    record: RunRecord,
    publication: Publication,
    out: Path,
) -> None:
    """Drafts summary.csv, one row per scene, and summary.json, which has all details.

    Args:
        records: of all scenes, in their order.
        classes: of the model, one column each.
        joined: what the joint layer holds.
        record: of the survey.
        publication: receives the files.
        out: the survey's folder.

    Raises:
        OutputError: if they cannot be written.
    """
    try:
        with publication.draft(out / "summary.csv").open(
            "w", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file:
            table = csv.writer(file)
            head = ["scene", "state", "layer", *(f"tiles_{name}" for name in TILES), "found", *classes, "candidates"]
            table.writerow([*head, "seconds", "warnings", "error", "hints", "distance_from_training"])
            table.writerows(_row(one, classes) for one in records)
        content = {
            **record.as_json(),
            "counts": counts(records, joined),
            "per_scene": [as_json(one) for one in records],
        }
        publication.draft(out / SUMMARY).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the summary in '{out}' cannot be written: {error.strerror}; free space there") from error


def counts(records: Sequence[SceneRecord], joined: Joined) -> dict[str, Any]:
    """Objects found in all scenes, JSON-ready; what several scenes show counts in each, but once in `unique`.

    `probably_right` is of the unique ones, without those in scenes unlike the model's training images.
    """
    unique, right = joined.unique, joined.probably_right
    in_scenes: Counter[str] = Counter()
    for record in records:
        in_scenes.update(record.per_class)
    return {
        "in_scenes": in_scenes.total(),
        "unique": None if unique is None else sum(unique.values()),
        "candidates": sum(record.candidates for record in records),
        "per_class": {
            name: {
                "in_scenes": count,
                "unique": None if unique is None else unique.get(name, 0),
                "probably_right": right[name].as_json() if name in right else None,
            }
            for name, count in in_scenes.items()
        },
    }


def as_json(record: SceneRecord) -> dict[str, Any]:
    """A scene's entry in summary.json, without what only the survey itself requires."""
    content = asdict(record)
    for internal in ("files", "crs", "corners", "size"):
        del content[internal]
    return {**content, "found": record.objects}


def _row(record: SceneRecord, classes: Sequence[str]) -> list[Any]:
    ran = bool(record.tiles)
    return [
        record.scene,
        record.state.value,
        record.outputs[0] if record.outputs else "",
        *(record.tiles.get(name, "") for name in TILES),
        record.objects if ran else "",
        *(record.per_class.get(name, 0) if ran else "" for name in classes),
        record.candidates if ran else "",
        record.seconds if ran else "",
        "; ".join(record.warnings),
        record.error or "",
        "; ".join(record.hints),
        "" if record.distance_from_training is None else record.distance_from_training,
    ]
