"""A disk that fills up during a run: a clear error, nothing lost, and the same command resumes once there is space."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.commands import Run
from support.scenes import noise, write_scene


@pytest.mark.parametrize("free", [40_000, 110_000, 160_000])
def test_detect_resumes_when_there_is_space_again(
    run: Run, small_disk: Path, untrained: Path, tmp_path: Path, free: int
) -> None:
    scene = write_scene(tmp_path / "a.tif", noise(700, 900))
    options = ("--model", untrained, "--score", "0.065", "-q", "-o")
    (tmp_path / "whole").mkdir()
    assert run("detect", scene, *options, tmp_path / "whole" / "found.geojson").code == 0
    whole = (tmp_path / "whole" / "found.geojson").read_bytes()
    filler, out = small_disk / "filler", small_disk / "found.geojson"
    filler.write_bytes(bytes(300 * 1024 - free))
    full = run("detect", scene, *options, out)
    assert full.code == 1 and "found.geojson" in full.err and not out.exists(), full.err
    assert "cannot be written" in full.err and ("make space" in full.err or "is the disk full" in full.err), full.err
    filler.unlink()
    again = run("detect", scene, *options, out)
    assert again.code == 0 and out.read_bytes() == whole, again.err
    assert {path.name for path in small_disk.iterdir()} == {"found.geojson", "found.qml"}


def test_a_survey_resumes_when_there_is_space_again(
    run: Run, small_disk: Path, untrained: Path, tmp_path: Path
) -> None:
    (tmp_path / "flight").mkdir()
    for number in range(3):
        write_scene(tmp_path / "flight" / f"{number}.tif", noise(256, 256, seed=number))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(240 * 1024))
    command = ("batch", tmp_path / "flight", "--out", small_disk / "out", "--model", untrained, "--format", "csv", "-q")
    full = run(*command)
    assert full.code == 1 and ("make space" in full.err or "is the disk full" in full.err), full.err
    filler.unlink()
    again = run(*command)
    assert again.code == 0, again.err
    layers = {path.name for path in (small_disk / "out" / "scenes").glob("*.csv")}
    assert layers == {"0.csv", "1.csv", "2.csv"} and (small_disk / "out" / "survey.csv").exists()


def test_a_read_only_disk_is_named(run: Run, small_disk: Path, untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "flight").mkdir()
    write_scene(tmp_path / "flight" / "a.tif", noise(256, 256))
    (small_disk / "out").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    surveyed = run("batch", tmp_path / "flight", "--out", small_disk / "out", "--model", untrained, "-q")
    made = run("batch", tmp_path / "flight", "--out", small_disk / "new", "--model", untrained, "-q")
    detected = run(
        "detect", tmp_path / "flight" / "a.tif", "--model", untrained, "-q", "-o", small_disk / "out" / "a.csv"
    )
    for outcome, words in ((surveyed, "another folder"), (made, "cannot be created"), (detected, "be written to")):
        assert outcome.code == 1 and str(small_disk) in outcome.err and words in outcome.err, outcome.err
