"""`lcageo filter` as a user meets it; `detect --keep` and then `filter` gives what `detect` gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import Run
from support.found_layers import COUNT, CRS, found, read, write
from support.readers import read_layer
from support.scenes import noise, write_scene


def test_gdal_reads_what_was_moved(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "all.gpkg", found())
    outcome = run("filter", tmp_path / "all.gpkg", tmp_path / "moved.fgb", "--score", 0.5, "--to", "EPSG:25832")
    assert outcome.code == 0 and outcome.out.strip() == str(tmp_path / "moved.fgb"), outcome.err
    kept = int((found().scores >= 0.5).sum())
    assert f"all {COUNT} {kept}" in " ".join(outcome.err.split())
    layer = read_layer(tmp_path / "moved.fgb")
    expected = read(tmp_path / "all.gpkg").query("score >= 0.5").to_crs("EPSG:25832").set_index("id")
    assert len(layer.rows) == kept
    for row, geometry in zip(layer.rows, layer.geometry, strict=True):
        assert np.abs(np.array(geometry.bounds) - expected.loc[row["id"]].geometry.bounds).max() < 1e-3


def test_candidates_filtered_are_what_detect_finds(tmp_path: Path, run: Run, untrained: Path) -> None:
    # One tile: at a seam, a candidate may make a surer part of itself yield.
    scene = write_scene(tmp_path / "scene.tif", noise(200, 200))
    both: dict[str, Any] = {}
    for name, more in (("plain", ()), ("kept", ("--keep", 0.015))):
        path = tmp_path / f"{name}.gpkg"
        outcome = run("detect", scene, "--model", untrained, "--score", 0.03, "-o", path, *more)
        assert outcome.code == 0, outcome.err
        both[name] = read(path)
    assert len(both["kept"]) > len(both["plain"]) > 0 and both["kept"]["score"].min() < 0.03
    assert run("filter", tmp_path / "kept.gpkg", tmp_path / "again.gpkg").code == 0
    again, plain = (
        {(row["class"], row.geometry.wkt) for _, row in layer.iterrows() if abs(row["score"] - 0.03) > 1e-4}  # rounded
        for layer in (read(tmp_path / "again.gpkg"), both["plain"])
    )
    assert again == plain and len(plain) > 30


def test_found_and_candidates_are_counted_alike_everywhere(tmp_path: Path, run: Run, untrained: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", noise(200, 200))
    assert run("detect", scene, "--model", untrained, "--score", 0.015, "-o", "all.gpkg").code == 0
    best = np.sort(read(tmp_path / "all.gpkg")["score"])[::-1][10:60]
    widest = int(np.diff(best).argmin())
    threshold = best[widest : widest + 2].mean()  # no score is rounded across it
    options = ("--model", untrained, "--score", threshold, "--json")
    detected = run("detect", scene, *options, "-o", "kept.gpkg", "--keep", 0.015, "--quicklook", "scene.png")
    assert detected.code == 0, detected.err
    rows = read(tmp_path / "kept.gpkg")
    found, candidates = int((rows["score"] >= threshold).sum()), int((rows["score"] < threshold).sum())
    assert found > 0 and candidates > 0
    (about,) = json.loads(detected.out)
    assert (about["found"], about["candidates"]) == (found, candidates)
    assert f"all {found:,}" in " ".join(detected.err.split()) and f"and {candidates:,} candidates" in detected.err
    reported = run("report", scene, "kept.gpkg", "-o", "page.html")
    assert f"{found:,} objects found, {candidates:,} candidates" in reported.err
    filtered = run("filter", "kept.gpkg", "found.gpkg")
    assert len(read(tmp_path / "found.gpkg")) == found and f"all {len(rows)} {found}" in " ".join(filtered.err.split())
    run("detect", scene, *options, "-o", "found-alone.gpkg", "--quicklook", "alone.png")
    pictures = [np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("scene.png", "alone.png")]
    assert len(read(tmp_path / "found-alone.gpkg")) == found  # one tile: nothing yields at a seam
    assert (pictures[0] == pictures[1]).all()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--score", 2), 2, "score 2.0 is outside 0 to 1"),
        (("--per-class", "ship"), 2, "is not a class and a score such as ship=0.3"),
        (("--top", 0), 2, "top 0 is below 1"),
        (("--to", "EPSG:1"), 2, "is not a CRS known to PROJ"),
        (("--aoi", "nowhere.gpkg"), 2, "does not exist"),
    ],
)
def test_impossible_arguments_are_reported(
    arguments: tuple[Any, ...], code: int, message: str, tmp_path: Path, run: Run
) -> None:
    write(tmp_path / "all.gpkg", found())
    outcome = run("filter", tmp_path / "all.gpkg", tmp_path / "some.gpkg", *arguments)
    assert outcome.code == code and message in outcome.err and not (tmp_path / "some.gpkg").exists()


def test_an_existing_target_or_the_source_is_refused(tmp_path: Path, run: Run) -> None:
    layer, other = write(tmp_path / "all.gpkg", found()), write(tmp_path / "other.gpkg", found(1))
    assert "exists; use --overwrite" in run("filter", layer, other).err
    assert "is the input; choose another" in run("filter", layer, layer, "--overwrite").err
    assert "not in WGS 84 / UTM zone 33N" in run("filter", layer, tmp_path / "a.geojson", "--to", CRS).err
    assert run("filter", layer, other, "--overwrite", "--classes", "boat").code == 0
    assert len(read(other)) == 0


def test_the_file_is_named_as_it_is_written(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "all.gpkg", found())
    for name in ("F.GPKG", "f.GeoJSON", "f.csv"):
        outcome = run("filter", "all.gpkg", name)
        assert outcome.code == 0 and outcome.out.strip() in [path.name for path in tmp_path.iterdir()]


def test_a_missing_class_is_reported(tmp_path: Path, run: Run) -> None:
    outcome = run("filter", write(tmp_path / "all.gpkg", found()), tmp_path / "some.csv", "--classes", "boat,ship")
    assert outcome.code == 0 and "has no 'boat'; its classes: ship, storage tank, vehicle" in outcome.err
