"""The record of a run: it survives JSON, and keeps what it does not understand."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcageo.calibration import Calibration
from lcageo.vector.record import RunRecord, SceneGrid, TileCounts, ValueRange

TEXTS = (
    "version", "model", "model_sha256", "trained_on", "licence", "engine", "run", "scene", "stac_item", "crs",
    "placed_by", "edge_nodata",
)  # fmt: skip
NAMES = tuple(entry.name for entry in fields(RunRecord) if entry.name not in ("nulls", "unknown"))
"""Entries that a record knows, in the order of its JSON."""

words = st.text(max_size=8)
numbers = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**9)
anything = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
three = st.tuples(numbers, numbers, numbers)
grids = st.builds(
    SceneGrid,
    st.tuples(counts, counts),
    st.none() | words,
    st.none() | st.tuples(*[numbers] * 6),
    st.lists(st.text(min_size=1, max_size=8), max_size=3).map(tuple),
)
ENTRIES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(TEXTS, words),
    "scene_grid": grids,
    "parameters": st.dictionaries(words, anything, max_size=3),
    "thresholds": st.dictionaries(words, numbers, max_size=3),
    "calibration": st.dictionaries(words, st.builds(Calibration, *[st.floats(0, 9)] * 4), max_size=2),
    "bands": st.tuples(*[st.integers(1, 12)] * 3),
    "stretch": st.builds(ValueRange, three, three),
    "scene_gsd_m": numbers,
    "distance_from_training": numbers,
    "scene_pixels_per_tile_pixel": st.tuples(numbers, numbers),
    "tiles": st.builds(TileCounts, counts, counts, counts, counts, counts),
    "boxes_of_impossible_size": counts,
    "filtered": st.lists(st.dictionaries(words, anything, max_size=2), min_size=1, max_size=2).map(tuple),
}


@st.composite
def records(draw: st.DrawFn, depth: int = 1) -> RunRecord:
    entries = {name: draw(ENTRIES[name]) for name in draw(st.sets(st.sampled_from(sorted(ENTRIES)), max_size=6))}
    nulls = frozenset(draw(st.sets(st.sampled_from(NAMES), max_size=3))) - {*entries, "appended"}
    unknown = draw(st.dictionaries(words.filter(lambda name: name not in NAMES), anything, max_size=3))
    if depth:
        entries["appended"] = tuple(draw(st.lists(records(depth - 1), max_size=2)))
    return RunRecord(**entries, nulls=nulls, unknown=unknown)


def test_every_entry_is_generated() -> None:
    assert set(ENTRIES) | {"appended"} == set(NAMES)


@given(records())
def test_json_and_back_gives_the_same_record(record: RunRecord) -> None:
    assert RunRecord.from_json(json.loads(json.dumps(record.as_json()))) == record


@given(st.dictionaries(st.sampled_from(NAMES) | words, anything, max_size=6))
def test_whatever_a_layer_holds_is_written_back(content: dict[str, Any]) -> None:
    kept = RunRecord.from_json(content).as_json()
    lost = {name for name in content if name not in kept}
    assert lost <= {name for name in ("filtered", "appended") if content.get(name) == []}
    simple = set(content) - lost - {"scene_grid", "stretch", "appended", "bands", "tiles"}
    assert {name: kept[name] for name in simple} == {name: content[name] for name in simple}
    assert RunRecord.from_json(kept).as_json() == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", 3),
        ("scene_gsd_m", "0.5"),
        ("scene_gsd_m", True),
        ("boxes_of_impossible_size", 1.5),
        ("bands", [1, 2]),
        ("thresholds", {"ship": "high"}),
        ("stretch", {"low": [0, 0], "high": [1, 1]}),
        ("tiles", {"planned": 3, "melted": 1}),
        ("tiles", {"planned": "3"}),
        ("scene_grid", {"size": [3], "classes": []}),
        ("scene_grid", {"size": [3, 4], "classes": ["ship"], "transform": [1, 0]}),
        ("filtered", ["ship"]),
        ("appended", {"model": "m"}),
        ("colour", "red"),
    ],
)
def test_unknown_and_malformed_entries_are_kept_but_not_believed(name: str, value: object) -> None:
    record = RunRecord.from_json({"version": "1", name: value})
    assert record.unknown == {name: value} and record.version == "1"
    assert getattr(record, name, None) in (None, ())
    assert record.as_json() == {"version": "1", name: value}


def test_entries_have_a_fixed_order_and_unknown_ones_come_last() -> None:
    values = {"version": "1", "model": "m", "crs": None, "bands": [3, 2, 1], "appended": [{"model": "n"}]}
    turned = {"colour": "red", **dict(reversed(values.items()))}
    assert list(RunRecord.from_json(turned).as_json()) == [*values, "colour"]
    assert [name for name in NAMES if name in values] == list(values)


def test_null_is_known_and_a_missing_entry_is_not() -> None:
    pixels, silent = RunRecord.from_json({"crs": None}), RunRecord.from_json({"model": "m"})
    assert pixels.of_pixels and pixels.as_json() == {"crs": None} and pixels.nulls == {"crs"}
    assert not silent.of_pixels and silent.as_json() == {"model": "m"}
    assert not RunRecord.from_json({"crs": "EPSG:32633"}).of_pixels
    assert RunRecord.from_json({"colour": None}).as_json() == {"colour": None}


@pytest.mark.parametrize("content", [None, "text", 3, [], [{"model": "m"}]])
def test_what_is_not_an_object_is_an_empty_record(content: object) -> None:
    record = RunRecord.from_json(content)
    assert record == RunRecord() and record.as_json() == {} and record.all_runs == ()


def test_all_runs_are_the_first_and_the_appended_ones() -> None:
    first, second = RunRecord(run="1"), RunRecord(run="2")
    assert RunRecord(run="1", appended=(second, RunRecord())).all_runs[1:] == (second,)
    assert RunRecord(appended=(first, second)).all_runs[1:] == (first, second)


def test_candidates_are_those_of_runs_that_were_not_filtered() -> None:
    kept = RunRecord.from_json({"parameters": {"keep": 0.05}})
    filtered = RunRecord.from_json({"parameters": {"keep": 0.05}, "filtered": [{"score": 0.3}]})
    assert kept.has_candidates and not filtered.has_candidates
    assert replace(filtered, appended=(kept,)).has_candidates
    assert not replace(filtered, appended=(RunRecord(run="2"),)).has_candidates
