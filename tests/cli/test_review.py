"""`lcageo detect --review` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import Run
from support.readers import read_layer
from support.scenes import noise, write_scene


def test_the_least_certain_come_first(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(400, 400))
    review = tmp_path / "review.gpkg"
    outcome = run("detect", "scene.tif", "--model", untrained, "--score", 0.04, "-o", "a.gpkg", "--review", review)
    assert outcome.code == 0 and outcome.out.split() == ["a.gpkg", str(review)], outcome.err
    rows = read_layer(review).rows
    order = [float(row["uncertain"]) for row in rows]
    assert order == sorted(order, reverse=True) and [int(row["id"]) for row in rows] == list(range(1, len(rows) + 1))
    tiles = [row for row in rows if row["kind"] == "tile"]
    objects = [row for row in rows if row["kind"] == "object"]
    assert len(tiles) == 9 and len(objects) > 50 and len(tiles) + len(objects) == len(rows)
    assert all(row["class"] is None and row["score"] is None for row in tiles)
    assert sum(int(row["candidates"]) for row in tiles) >= len(objects)
    assert any(float(row["score"]) < 0.04 for row in objects) and all(row["class"] for row in objects)
    plain = run("detect", "scene.tif", "--model", untrained, "--score", 0.04, "-o", "b.gpkg")
    assert plain.code == 0 and read_layer(tmp_path / "a.gpkg") == read_layer(tmp_path / "b.gpkg")


def test_a_review_is_written_where_requested_and_replaces_no_other(run: Run, untrained: Path, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.tif", noise(128, 128))
    common = ("detect", "scene.tif", "--model", untrained)
    outcome = run(*common, "--review", "reviews", "--json")
    assert outcome.code == 0 and json.loads(outcome.out)[0]["review"] == "reviews/scene-review.geojson"
    assert (tmp_path / "reviews" / "scene-review.geojson").exists()
    outcome = run(*common, "-o", "a.gpkg", "--review", "a.gpkg")
    assert outcome.code == 2 and "-o and --review would both write 'a.gpkg'" in outcome.err
    outcome = run(*common, "-o", "a.gpkg", "--holes", "b.gpkg", "--review", "b.gpkg")
    assert outcome.code == 2 and "--holes and --review would both write 'b.gpkg'" in outcome.err
    outcome = run(*common, "-o", "a.gpkg", "--review", "reviews/scene-review.geojson")
    assert outcome.code == 2 and "scene-review.geojson' exists; use --overwrite" in outcome.err
